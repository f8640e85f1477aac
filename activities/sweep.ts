import { EvidenceError, type EvidenceStore } from './evidence/store.ts';
import type { KubernetesApis } from './kubernetes/client/connect.ts';
import { liftCordon, runsMarking } from './kubernetes/cordon/owner-annotation.ts';
import { inParallel, listNodes } from './kubernetes/client/read.ts';
import type { LatestRun } from './runs.ts';

/**
 * After a run was ended from outside, an attempt of its step may go on until its next heartbeat is answered, and mark a node
 * once more. A target is left alone for this long.
 */
const settleMs = 10_000;

/** A mark of a run at a node. */
export interface Mark {
  node: string;
  run: string;
}

/** The marks that were found at a target. */
export interface MarksFound {
  /** Of runs that are over. */
  dead: Mark[];
  /** All others, with the reason why they stay. */
  kept: (Mark & { why: string })[];
  /** How long to wait until what is dead can be trusted to stay so. */
  settlesInMs: number;
}

/** What a sweep works with. */
export interface SweepParts {
  apis: KubernetesApis;
  /** Name of the cluster, for messages. */
  cluster: string;
  /** Asks Temporal which run the target had last. */
  latestRun: () => Promise<LatestRun>;
  evidence: Pick<EvidenceStore, 'read' | 'pathOf'>;
}

/**
 * Tells the marks of dead runs from all others. Reads only. A run marks nodes while it is open, there is one open run for a
 * target at most, and its id is never given again: so whatever is marked, and not by the run that is open *afterwards*, is dead.
 * The order matters: had Temporal been asked first, a run could start and mark nodes before they are listed.
 */
export async function findMarks({ apis, cluster, latestRun, evidence }: SweepParts): Promise<MarksFound> {
  const marks = await listMarks(apis, cluster);
  if (marks.length === 0) return { dead: [], kept: [], settlesInMs: 0 };
  const latest = await latestRun();
  const runs = [...new Set(marks.map(({ run }) => run))];
  const reasons = new Map(await inParallel(runs, async (run) => [run, await reasonToKeep(run, latest, evidence)] as const));
  const dead = marks.filter(({ run }) => reasons.get(run) === undefined);
  const kept = marks.flatMap((mark) => {
    const why = reasons.get(mark.run);
    return why === undefined ? [] : { ...mark, why };
  });
  const settlesInMs = latest.changedAt === undefined ? 0 : Math.max(0, latest.changedAt.getTime() + settleMs - Date.now());
  return { dead, kept, settlesInMs };
}

/** Lifts the marks that are of dead runs still, each with the cordon it stands for. Returns those that were there to be lifted. */
export async function liftMarks({ apis, cluster, latestRun }: SweepParts, marks: readonly Mark[]): Promise<Mark[]> {
  // A closed workflow can be reset by hand, which would bring its run back to life.
  const latest = await latestRun();
  const dead = marks.filter(({ run }) => openReason(run, latest) === undefined);
  const lifted = await inParallel(dead, ({ node, run }) => liftCordon(apis, cluster, { name: node }, run));
  return dead.filter((_mark, index) => lifted[index]);
}

async function listMarks(apis: KubernetesApis, cluster: string): Promise<Mark[]> {
  const nodes = await listNodes(apis, cluster);
  return nodes.flatMap((node) => runsMarking(node).map((run) => ({ node: node.metadata?.name ?? '', run })));
}

function openReason(run: string, latest: LatestRun): string | undefined {
  if (latest.state !== 'open') return undefined;
  if (latest.run === undefined) return 'the workflow that is open on the target does not say which run it carries out';
  return latest.run === run ? 'the run is open' : undefined;
}

/** Why the marks of a run stay; undefined where it is dead. */
async function reasonToKeep(run: string, latest: LatestRun, evidence: SweepParts['evidence']): Promise<string | undefined> {
  return openReason(run, latest) ?? (await strangerReason(run, evidence));
}

/**
 * Another Holdpoint, with a Temporal of its own, may work on the same cluster; its runs are not for us to judge. Of our own
 * there is a record from before they touched anything.
 */
async function strangerReason(run: string, evidence: SweepParts['evidence']): Promise<string | undefined> {
  try {
    if ((await evidence.read(run)).length > 0) return undefined;
    return `there is no record of this run here (${evidence.pathOf(run)}): it may belong to another Holdpoint`;
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    if (error.code === 'evidence-damaged') return undefined;
    return `whether it is a run of ours cannot be told: ${error.message}`;
  }
}
