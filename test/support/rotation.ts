import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { programCommand } from '../../cli/program-files.ts';
import { connectTemporal, type TemporalSettings } from '../../client/connection.ts';
import { verifyEvidence, type EvidenceReport } from '../../client/evidence.ts';
import { Holdpoint, type LiveRun } from '../../client/holdpoint.ts';
import type { JsonObject } from '../../domain/json.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { createEksHandler } from '../../sandbox/eks/handler.ts';
import type { Node, Pod } from '../../sandbox/kubernetes/objects.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { demoRegion, demoWorld } from '../../sandbox/worlds/demo.ts';
import { searchAttributes, type Phase, type Verb } from '../../workflows/messages.ts';
import { makeKeys, people, writeConfiguration, type Person } from './site.ts';

const untilLimitMs = 90_000;
const untilPauseMs = 50;

/** The demo's cluster in a sandbox under a name of its own, keys, a configuration, and workers as processes, on a given server. */
export interface Rotation {
  sandbox: Sandbox;
  /** What the shipped runbooks ask for on this cluster. */
  inputs: { region: string; cluster: string; nodegroup: string };
  startWorker(): Promise<RunningProcess>;
  /** Plans and starts a shipped runbook on the cluster as dana. */
  begin(runbook: string, inputs: JsonObject): Promise<string>;
  /** Signs what is open at that hold. */
  approve(run: string, hold: string, person: Person): Promise<void>;
  /** Gives the run an operator's word, as dana. */
  operate(run: string, verb: Verb): Promise<void>;
  /** The run as soon as it is in that phase (or satisfies the test); fails as soon as it is stuck without being asked for it. */
  until(run: string, wanted: Phase | ((live: LiveRun) => boolean)): Promise<LiveRun>;
  evidence(live: LiveRun): Promise<EvidenceReport>;
  nodes(): Node[];
  /** Without the daemons and whatever is on its way out. */
  pods(): Pod[];
  stop(): Promise<void>;
}

/** Raises it; `speed` is how many times as fast as the wall clock the cluster lives. */
export async function raiseRotation({ speed, address, name }: { speed: number; address: string; name: string }): Promise<Rotation> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-rotation-'));
  const keys = await makeKeys(join(directory, 'keys'));
  const configuration = await writeConfiguration(directory, keys);
  const cluster = `${name}-${process.pid}-${Date.now()}`;
  // Runs of several tests are on one server, where the target is the lock.
  const seed = { clusters: demoWorld.clusters.map((demo) => ({ ...demo, name: cluster })) };
  const sandbox = await startSandbox({ seed, speed, randomSeed: 7, cloud: (world) => createEksHandler(world).handle });
  const settings = { address, namespace: 'default', taskQueue: cluster };
  const client = await connectTemporal(settings);
  await registerSearchAttributes(client.connection, settings.namespace, Object.values(searchAttributes));
  const holdpoint = new Holdpoint(client, settings);
  const workers: RunningProcess[] = [];
  const until: Rotation['until'] = (run, wanted) => untilLive(() => holdpoint.live(run), wanted);
  const { store } = sandbox.world.cluster(cluster)!;
  return {
    sandbox,
    inputs: { region: demoRegion, cluster, nodegroup: 'blue' },
    startWorker: async () => {
      const worker = await startWorker(settings, configuration, sandbox.url);
      workers.push(worker);
      return worker;
    },
    begin: async (runbook, inputs) => {
      const document = readRunbook(runbook);
      const { run, admission } = await holdpoint.start(document, await holdpoint.plan(document, inputs), keys.dana);
      if (!admission.admitted) throw new Error(`the run was refused: ${admission.reason}`);
      return run;
    },
    approve: async (run, hold, person) => {
      const { state } = await until(run, (live) => live.state.phase === 'holding' && live.state.hold?.opening.hold === hold);
      await holdpoint.decide(run, state.hold!.opening, 'approve', 'looks right', keys[person]);
    },
    operate: async (run, verb) => {
      await holdpoint.operate(run, verb, 'the test wants it', keys.dana);
    },
    until,
    evidence: ({ state }) => verifyEvidence(state.evidence, Object.fromEntries(people.map((id) => [id, { key: keys[id].publicKey }]))),
    nodes: () => store.list('nodes'),
    pods: () => store.list('pods').filter(({ metadata }) => !isDaemon(metadata) && metadata.deletionTimestamp === undefined),
    stop: async () => {
      await Promise.all(workers.map((worker) => worker.kill()));
      await client.connection.close();
      await sandbox.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function isDaemon({ ownerReferences = [] }: Pod['metadata']): boolean {
  return ownerReferences.some(({ kind }) => kind === 'DaemonSet');
}

async function startWorker(settings: TemporalSettings, configuration: string, sandboxUrl: string): Promise<RunningProcess> {
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: settings.address,
    HOLDPOINT_TASK_QUEUE: settings.taskQueue,
    HOLDPOINT_CONFIG: configuration,
    HOLDPOINT_LOG_LEVEL: 'warn',
    AWS_ENDPOINT_URL: sandboxUrl,
    AWS_ACCESS_KEY_ID: 'sandbox',
    AWS_SECRET_ACCESS_KEY: 'sandbox',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  return startProcess({ name: 'The worker', ...programCommand('worker/main'), env, ready: /"listening":true/ });
}

async function untilLive(look: () => Promise<LiveRun>, wanted: Phase | ((live: LiveRun) => boolean)): Promise<LiveRun> {
  const passes = typeof wanted === 'string' ? ({ state }: LiveRun) => state.phase === wanted : wanted;
  const giveUpAt = Date.now() + untilLimitMs;
  let last: LiveRun | undefined;
  let failure: unknown;
  while (Date.now() < giveUpAt) {
    // While a worker or the server is away, nobody answers.
    last = await look().catch((error: unknown) => ((failure = error), undefined));
    if (last && passes(last)) return last;
    if (last?.state.phase === 'stuck') break;
    await wait(untilPauseMs);
  }
  throw new Error(`waited in vain; the run is ${JSON.stringify(last ?? null, null, 1)}`, { cause: failure });
}
