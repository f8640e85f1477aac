import { randomBytes } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import type { Progress, ProgressItem } from '../../../domain/action.ts';
import { HoldpointError, ToldError } from '../../../domain/errors.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { ActionPlan } from '../../../domain/plan/plan.ts';
import type { Target } from '../../../domain/target.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { contextOfLook, readInput, waitOrStop, type PlanOf } from '../../action.ts';
import { openRecordFile } from '../../evidence/record-file.ts';
import { perform } from '../../perform.ts';
import { PlanTime, planTimeLimits } from '../../plan-limits.ts';
import { connectByKubeconfig, type KubeconfigConnection, type KubeconfigOptions } from '../client/kubeconfig.ts';
import { onlyKubernetes } from '../only-kubernetes.ts';
import { findNodes, listNodes, nodesUnknown } from '../client/read.ts';
import { cordonOwner, liftCordon, liftCordonOfOthers, runsAnnotating } from '../cordon/owner-annotation.ts';
import { beginWith, readCluster, type ClusterReading } from './cluster-state.ts';
import { drainAction, observeDrain, planDrainIn } from './drain.ts';
import { expectedReading } from './expected-reading.ts';
import type { DrainFacts } from './facts.ts';

/** Which nodes are meant: by their names, or by a label selector. */
export type NodeChoice = { names: readonly string[] } | { selector: string };

/** What a drain would do to a cluster. */
export interface DrainPreview {
  /** As the kubeconfig calls it, and where it is. */
  cluster: string;
  server: string;
  plan: ActionPlan;
}

/** How a drain by hand has ended, and what there is now. */
export interface DrainEnd {
  outcome: 'done' | 'stuck' | 'interrupted' | 'failed';
  /** How far it came, in one sentence. */
  summary: string;
  /** Why it has not ended as planned. */
  error?: { code: string; message: string; remedy: string };
  /** Nodes with pods that have not gone. */
  left: ProgressItem[];
  /** Nodes that are cordoned now. */
  cordoned: string[];
  /** Nodes that are not, though this drain has not uncordoned them: somebody else has. */
  schedulable: string[];
  uncordoned: string[];
  /** How often each error has passed by itself, by code. */
  passed: Record<string, number>;
}

/** What a drain by hand is carried out with. */
export interface DrainSurroundings {
  /** A new file that the plan and the end are written to, each before what it is about is done or told. */
  recordFile: string;
  /** Whether nodes are uncordoned in the end, once they are drained. */
  uncordon: boolean;
  onProgress: (progress: Progress | undefined) => void;
  /** Aborted by whoever stops it: what has been asked for is waited for, nothing new begins. */
  signal: AbortSignal;
}

/** Whoever has thought about the plan for longer drains what is there then: everything is read anew. */
const readingAgeMaxMs = 10_000;

/** Marks of drains by hand say whose they are: `drain-<person>-<machine>-<id>`. */
const markPrefix = 'drain-';

/** The id of a drain by hand that begins now in this process: the others on this machine see by it whether that is still there. */
export function idOfDrain(now: Date): string {
  return `${now.toISOString().slice(0, 16).replace(/[-:]/g, '')}-p${process.pid}-${randomBytes(3).toString('hex')}`;
}

/** Whether the process of a drain by hand of this machine may be at work: another one may have got its number since. */
function isAtWork(mark: string): boolean {
  const pid = Number(/-p(\d+)-[0-9a-f]+$/.exec(mark)?.[1]);
  if (Number.isNaN(pid) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The person and the machine, as marks name them. */
function ownPrefix(): string {
  const clean = (text: string): string => text.replace(/[^A-Za-z0-9._]+/g, '_').slice(0, 40);
  return `${markPrefix}${clean(userInfo().username)}-${clean(hostname())}-`;
}

/**
 * A drain that a person carries out with a kubeconfig of theirs: the action `kubernetes.drain` without a run around it, and
 * without Temporal or a worker. Its plan names the nodes; nothing else is touched.
 */
export class DrainByHand implements DrainPreview {
  readonly cluster: string;
  readonly server: string;
  readonly plan: PlanOf<DrainFacts>;
  private readonly connection: KubeconfigConnection;
  private readonly target: Target;
  /** What the plan was made of, until the drain begins. */
  private reading: ClusterReading | undefined;
  private readonly readAtMs = performance.now();

  private constructor(connection: KubeconfigConnection, plan: PlanOf<DrainFacts>, reading: ClusterReading) {
    this.connection = connection;
    this.reading = reading;
    this.cluster = connection.cluster;
    this.server = connection.server;
    this.plan = plan;
    this.target = { kind: 'kubernetes', region: '', name: connection.cluster };
  }

  /**
   * Plans it. Reads only, with the rights of whoever the kubeconfig names. Cordons of others are told, and do not block it: `kubectl
   * drain` goes on there, too.
   *
   * @param settings what `kubernetes.drain` takes beside the nodes.
   * @throws HoldpointError `kubeconfig-invalid`, `node-unknown` (with the name that was most likely meant), `action-input-invalid`,
   * `kubernetes-…`, `plan-too-slow`.
   */
  static async plan(choice: NodeChoice, settings: JsonObject, options: KubeconfigOptions): Promise<DrainByHand> {
    const connection = connectByKubeconfig(options);
    const time = new PlanTime(planTimeLimits.byHandMs);
    return time.read('the cluster', connection.cluster, () => DrainByHand.planWith(connection, choice, settings));
  }

  private static async planWith(connection: KubeconfigConnection, choice: NodeChoice, settings: JsonObject): Promise<DrainByHand> {
    const { apis, cluster } = connection;
    const names = await chosenNodes(connection, choice);
    const input = readInput(actions['kubernetes.drain'], { ...settings, alsoCordoned: true, nodes: names });
    const { nodes, ...rest } = input as ActionInput<'kubernetes.drain'>;
    const reading = await readCluster(async () => apis, cluster);
    requireNodes(
      reading.nodes.map(({ metadata }) => metadata?.name ?? ''),
      nodes,
      cluster,
    );
    // No run is planned for: whatever cordon there is, is another's.
    const plan = await planDrainIn({ apis, cluster, run: '' }, expectedReading(reading, [], ''), nodes, rest);
    return new DrainByHand(connection, plan, reading);
  }

  /**
   * Carries the plan out, whatever becomes of it: errors are part of how it ends. Marks that it leaves name it by `id`.
   * @throws EvidenceError where the record cannot be begun, before anything has been touched.
   */
  async carryOut(id: string, { recordFile, uncordon, onProgress, signal }: DrainSurroundings): Promise<DrainEnd> {
    const run = ownPrefix() + id;
    const record = await openRecordFile(recordFile, run);
    const { cluster, server, plan } = this;
    await record.append('drain.planned', { cluster, server, plan: plan as unknown as JsonObject, uncordon });
    const end = await this.carryOutAs(run, { uncordon, onProgress, signal });
    await record.append('run.ended', end as unknown as JsonObject);
    await record.close();
    return end;
  }

  private async carryOutAs(
    run: string,
    { uncordon, onProgress, signal }: Pick<DrainSurroundings, 'uncordon' | 'onProgress' | 'signal'>,
  ): Promise<DrainEnd> {
    const context = { run, step: 'drain', target: this.target, retry: 0 };
    let latest: Progress | undefined;
    const surroundings = {
      onProgress: (progress: Progress | undefined) => {
        latest = progress ?? latest;
        onProgress(progress);
      },
      signal,
      wait: (ms: number) => waitOrStop(ms, signal),
    };
    if (this.reading && performance.now() - this.readAtMs < readingAgeMaxMs) beginWith(this.reading, this.connection.apis, this.cluster);
    this.reading = undefined;
    try {
      const { summary = '', passed } = await perform(drainAction(onlyKubernetes(this.connection.apis)), this.plan, context, surroundings);
      const uncordoned = uncordon ? await this.uncordonOwn() : [];
      const { cordoned, schedulable } = await this.cordonsNow();
      const byOthers = schedulable.filter((name) => !uncordoned.includes(name));
      return { outcome: 'done', summary, left: [], uncordoned, cordoned, schedulable: byOthers, passed };
    } catch (error) {
      const seen = await this.lookAgain(run).catch(() => latest);
      const left = (seen?.items ?? []).filter(({ state }) => state !== 'done');
      const cordons = await this.cordonsNow().catch(() => ({ cordoned: [], schedulable: [] }));
      return { ...endOf(error, signal), summary: seen?.summary ?? '', left, ...cordons, uncordoned: [], passed: {} };
    }
  }

  private async lookAgain(run: string): Promise<Progress | undefined> {
    const context = contextOfLook({ run, step: 'drain', target: this.target, retry: 0 });
    return (await observeDrain(onlyKubernetes(this.connection.apis), this.plan, context)).progress;
  }

  /**
   * Lifts the cordons of this person's drains from this machine, an earlier one that was killed among them. Those of others stay, and
   * those of drains that are still at work.
   */
  private async uncordonOwn(): Promise<string[]> {
    const { apis, cluster } = this.connection;
    const uids = new Map(this.plan.facts.nodes.map(({ name, uid }) => [name, uid]));
    const { nodes } = await findNodes(apis, cluster, this.names());
    const lifted: string[] = [];
    for (const node of nodes) {
      const name = node.metadata?.name ?? '';
      const runs = runsAnnotating(node).filter((run) => run.startsWith(ownPrefix()) && !isAtWork(run));
      for (const run of runs) await liftCordon(apis, cluster, { name, uid: uids.get(name) }, run);
      const owner = cordonOwner(node);
      if (owner !== undefined && runs.includes(owner)) lifted.push(name);
    }
    return lifted;
  }

  private async cordonsNow(): Promise<Pick<DrainEnd, 'cordoned' | 'schedulable'>> {
    const { apis, cluster } = this.connection;
    const { nodes } = await findNodes(apis, cluster, this.names());
    const namesOf = (isCordoned: boolean): string[] =>
      nodes.filter(({ spec }) => (spec?.unschedulable === true) === isCordoned).map(({ metadata }) => metadata?.name ?? '');
    return { cordoned: namesOf(true), schedulable: namesOf(false) };
  }

  private names(): string[] {
    return this.plan.facts.nodes.map(({ name }) => name);
  }
}

function endOf(error: unknown, signal: AbortSignal): Pick<DrainEnd, 'outcome' | 'error'> {
  if (signal.aborted) return { outcome: 'interrupted' };
  if (!(error instanceof ToldError)) {
    const message = error instanceof Error ? error.message : String(error);
    return { outcome: 'failed', error: { code: 'unexpected', message, remedy: '' } };
  }
  const { code, message, remedy } = error;
  return { outcome: code === 'action-stuck' ? 'stuck' : 'failed', error: { code, message, remedy } };
}

/** What has come of uncordoning a node. */
export interface Uncordoned {
  node: string;
  /** `kept`: it was cordoned by a run, which may be going on. */
  result: 'uncordoned' | 'already uncordoned' | 'kept';
  /** Whose cordon it carries or carried; undefined where none of Holdpoint. */
  owner?: string;
  /** Whether the drain that has cordoned it may still be at work, so that it cordons the node again. */
  mayBeAtWork: boolean;
}

/**
 * Uncordons nodes and takes off what drains by hand have left on them. A cordon of a run stays, unless `force` is given: the run
 * may be going on, and lifts it itself in the end. Throws `node-unknown`, `kubeconfig-invalid`, `kubernetes-…`.
 */
export async function uncordonByHand(choice: NodeChoice, options: KubeconfigOptions, force = false): Promise<Uncordoned[]> {
  const connection = connectByKubeconfig(options);
  const { apis, cluster } = connection;
  const names = await chosenNodes(connection, choice);
  const { nodes, missing } = await findNodes(apis, cluster, names);
  if (missing.length > 0) throw nodesUnknown(cluster, missing, []);
  const results: Uncordoned[] = [];
  for (const node of nodes) {
    const name = node.metadata?.name ?? '';
    const owner = cordonOwner(node);
    const isCordoned = node.spec?.unschedulable === true;
    if (isCordoned && owner !== undefined && !owner.startsWith(markPrefix) && !force) {
      results.push({ node: name, result: 'kept', owner, mayBeAtWork: true });
      continue;
    }
    const runs = runsAnnotating(node).filter((run) => force || run.startsWith(markPrefix));
    for (const run of runs) await liftCordon(apis, cluster, { name }, run);
    if (isCordoned && owner === undefined) await liftCordonOfOthers(apis, cluster, name);
    const mayBeAtWork = owner !== undefined && (!owner.startsWith(ownPrefix()) || isAtWork(owner));
    results.push({ node: name, result: isCordoned ? 'uncordoned' : 'already uncordoned', owner, mayBeAtWork });
  }
  return results;
}

async function chosenNodes({ apis, cluster }: KubeconfigConnection, choice: NodeChoice): Promise<string[]> {
  if ('names' in choice) return [...new Set(choice.names)];
  const { selector } = choice;
  const nodes = await listNodes(apis, cluster, selector);
  if (nodes.length === 0) throw new HoldpointError('no-node-selected', { cluster, selector });
  return nodes.map(({ metadata }) => metadata?.name ?? '').sort();
}

function requireNodes(known: readonly string[], wanted: readonly string[], cluster: string): void {
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  throw nodesUnknown(cluster, unknown, known);
}
