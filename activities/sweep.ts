import { EvidenceError, type EvidenceStore } from './evidence/store.ts';
import { inParallel } from './kubernetes/client/read.ts';
import type { LatestRun } from './runs.ts';
import type { OwnerAnnotation, AnnotationsAtTarget } from './system.ts';

/**
 * After a run was ended from outside, an attempt of its step may go on until its next heartbeat is answered, and annotate a node
 * once more. A target is left alone for this long.
 */
export const sweepSettleMs = 10_000;

/** The annotations that were found at a target. */
export interface OwnerAnnotationsFound {
  /** Of runs that are over. */
  dead: OwnerAnnotation[];
  /** All others, with the reason why they stay. */
  kept: (OwnerAnnotation & { why: string })[];
  /** How long to wait until what is dead can be trusted to stay so. */
  settlesInMs: number;
}

/** What a sweep works with. */
export interface SweepParts {
  /** Those at the target that is swept. */
  annotations: Pick<AnnotationsAtTarget, 'find' | 'lift'>;
  /** Asks Temporal which run the target had last. */
  latestRun: () => Promise<LatestRun>;
  evidence: Pick<EvidenceStore, 'read' | 'pathOf'>;
  /** For how long a target is left alone after its run has ended: longer than an attempt can go without a heartbeat. */
  settleMs: number;
}

/**
 * Tells the owner annotations of runs that are over from all others. Reads only. A run leaves some while it is open, there is one open
 * run for a target at most, and its id is never given again: so whatever is annotated, and not by the run that is open *afterwards*, is
 * of a run that is over. The order matters: had Temporal been asked first, a run could start and annotate nodes before they are listed.
 */
export async function findOwnerAnnotations({
  annotations: atTarget,
  latestRun,
  evidence,
  settleMs,
}: SweepParts): Promise<OwnerAnnotationsFound> {
  const annotations = await atTarget.find();
  if (annotations.length === 0) return { dead: [], kept: [], settlesInMs: 0 };
  const latest = await latestRun();
  const runs = [...new Set(annotations.map(({ run }) => run))];
  const reasons = new Map(await inParallel(runs, async (run) => [run, await reasonToKeep(run, latest, evidence)] as const));
  const dead = annotations.filter(({ run }) => reasons.get(run) === undefined);
  const kept = annotations.flatMap((annotation) => {
    const why = reasons.get(annotation.run);
    return why === undefined ? [] : { ...annotation, why };
  });
  const settlesInMs = latest.changedAt === undefined ? 0 : Math.max(0, latest.changedAt.getTime() + settleMs - Date.now());
  return { dead, kept, settlesInMs };
}

/** Lifts the annotations that are of dead runs still, each with the cordon it stands for. Returns those that were there to be lifted. */
export async function liftOwnerAnnotations(
  { annotations: atTarget, latestRun }: SweepParts,
  annotations: readonly OwnerAnnotation[],
): Promise<OwnerAnnotation[]> {
  // A closed workflow can be reset by hand, which would bring its run back to life.
  const latest = await latestRun();
  const dead = annotations.filter(({ run }) => openReason(run, latest) === undefined);
  const lifted = await inParallel(dead, (annotation) => atTarget.lift(annotation));
  return dead.filter((_mark, index) => lifted[index]);
}

function openReason(run: string, latest: LatestRun): string | undefined {
  if (latest.state !== 'open') return undefined;
  if (latest.run === undefined) return 'the workflow that is open on the target does not say which run it carries out';
  return latest.run === run ? 'the run is open' : undefined;
}

/** Why the owner annotations of a run stay; undefined where it is dead. */
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
