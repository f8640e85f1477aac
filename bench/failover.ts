import {
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  FailoverDBClusterCommand,
  RDSClient,
  waitUntilDBClusterAvailable,
} from '@aws-sdk/client-rds';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startEnvironment, startSandboxCluster, type Environment, type SandboxCluster } from '../cli/environment.ts';
import { connectTemporal, temporalSettings } from '../client/connection.ts';
import { Holdpoint } from '../client/holdpoint.ts';
import { readKey } from '../client/keys.ts';
import { buildWhereStale } from '../lab/build.ts';
import { compileRunbook } from '../runbooks/compiler/compile.ts';
import { checkInputs } from '../runbooks/compiler/inputs.ts';
import { readRunbook } from '../runbooks/library.ts';
import { percentile, rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';

const roundsDefault = 3;
const roundsMax = 50;
const speedDefault = 4;
const speedMax = 20;
const region = 'eu-central-1';
const cluster = 'demo';
const instances = ['demo-a', 'demo-b', 'demo-c'];
const lookMs = 10;
const waitMaxMs = 120_000;
/** Of the SDK's waiter for clusters, by its own default. */
const waiterSeconds = { minDelay: 30, maxDelay: 120 };

/** When it was signed or started, when RDS took the request, when the new writer was there, and when it was said to be over. */
interface Moments {
  begunMs: number;
  askedMs: number;
  movedMs: number;
  toldMs: number;
}

/** What the sandbox has counted. */
interface Seen {
  writer: string;
  failovers: unknown[];
}

type Contender = (environment: Environment<SandboxCluster>, from: string, to: string) => Promise<{ begunMs: number; toldMs: number }>;

/**
 * `npm run bench:failover -- [--rounds 3] [--speed 4] [--json]`: how long after a signature RDS has the request for a failover, and how
 * long after the new writer is there a contender says so: a run of Holdpoint, and two scripts with the SDK's waiter, one of which waits
 * until the failover shows first. They go in turns over the same simulated cluster, whose own time goes `speed` times as fast; what the
 * contenders take themselves is real. Exit code 1 where Holdpoint asks more than once.
 */
async function main(): Promise<number> {
  const { rounds, speed, json } = readSettings();
  const where = machine();
  await buildWhereStale();
  const signal = new AbortController().signal;
  const report = (sentence: string): void => console.error(sentence);
  const startCluster = (start: Parameters<typeof startSandboxCluster>[1]) => startSandboxCluster(speed, start, { world: 'aurora' });
  const environment = await startEnvironment({ startCluster, report, signal });
  const contenders: Record<string, Contender> = {
    holdpoint: runOfHoldpoint,
    'waiter after the failover shows': script({ speed, looksFirst: true }),
    'waiter alone': script({ speed, looksFirst: false }),
  };
  const measured: Record<string, Moments[]> = {};
  let asked = 0;
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, contender] of Object.entries(contenders)) {
        const moments = await measure(environment, contender);
        (measured[name] ??= []).push(moments);
        asked += 1;
        report(`${name}: asked after ${rounded(moments.askedMs - moments.begunMs)} ms`);
      }
    }
    const { failovers } = await seen(environment);
    const figures = { rounds, speed, failovers: failovers.length, asked, contenders: figuresOf(measured, speed), machine: where };
    console.log(json ? JSON.stringify(figures) : JSON.stringify(figures, null, 2));
    return failovers.length === asked ? 0 : 1;
  } finally {
    await environment.stop();
  }
}

function figuresOf(measured: Readonly<Record<string, readonly Moments[]>>, speed: number): object {
  const median = (samples: readonly number[]): number => rounded(percentile(samples, 50));
  const each = Object.entries(measured).map(([name, all]) => [
    name,
    {
      /** What it adds before RDS begins. */
      addedMs: median(all.map(({ begunMs, askedMs }) => askedMs - begunMs)),
      /** What RDS takes itself, in its own time. */
      promotionSeconds: median(all.map(({ askedMs, movedMs }) => ((movedMs - askedMs) * speed) / 1_000)),
      /** How much later it says so than the new writer is there; below zero it says so too early. */
      toldAfterMs: median(all.map(({ movedMs, toldMs }) => toldMs - movedMs)),
      toldTooEarly: all.filter(({ movedMs, toldMs }) => toldMs < movedMs).length,
    },
  ]);
  return Object.fromEntries(each) as object;
}

async function measure(environment: Environment<SandboxCluster>, contender: Contender): Promise<Moments> {
  await untilAtRest(environment);
  const { writer, failovers } = await seen(environment);
  const to = instances.find((name) => name !== writer) ?? '';
  const moments = { askedMs: 0, movedMs: 0 };
  const watching = (async () => {
    while (moments.movedMs === 0) {
      const now = await seen(environment);
      if (moments.askedMs === 0 && now.failovers.length > failovers.length) moments.askedMs = performance.now();
      if (now.writer === to) moments.movedMs = performance.now();
      await wait(lookMs);
    }
  })();
  const { begunMs, toldMs } = await contender(environment, writer, to);
  await Promise.race([watching, late('the failover did not happen')]);
  return { begunMs, toldMs, ...moments };
}

/** From the signature of the approver until the run is done. */
const runOfHoldpoint: Contender = async (environment, writer, to) => {
  const settings = temporalSettings({ ...process.env, ...environment.env });
  const client = await connectTemporal(settings);
  try {
    const holdpoint = new Holdpoint(client, settings);
    const document = readRunbook('aurora-failover');
    const { runbook } = compileRunbook(document.text, document.file);
    if (!runbook) throw new Error('the runbook does not compile');
    const keys = environment.env.HOLDPOINT_KEYS ?? '';
    const forecast = await holdpoint.plan(document, checkInputs(runbook, { region, cluster, writer, to }).inputs);
    const { run } = await holdpoint.start(document, forecast, await readKey('dana', keys));
    const held = await untilRun(holdpoint, run, 'holding');
    const ada = await readKey('ada', keys);
    if (!held.state.hold) throw new Error('the run does not wait at its hold');
    const begunMs = performance.now();
    await holdpoint.decide(held.state, held.state.hold.request, 'approve', 'measured', ada);
    await untilRun(holdpoint, run, 'done');
    return { begunMs, toldMs: performance.now() };
  } finally {
    await client.connection.close();
  }
};

async function untilRun(holdpoint: Holdpoint, run: string, phase: string): ReturnType<Holdpoint['live']> {
  const giveUpAtMs = performance.now() + waitMaxMs;
  for (;;) {
    const live = await holdpoint.live(run);
    if (live.state.phase === phase) return live;
    if (live.state.phase === 'stuck' || performance.now() > giveUpAtMs) throw new Error(`the run is ${live.state.phase}, not ${phase}`);
    await wait(lookMs);
  }
}

function script({ speed, looksFirst }: { speed: number; looksFirst: boolean }): Contender {
  return async (environment, _from, to) => {
    const rds = clientOf(environment);
    const named = { DBClusterIdentifier: cluster };
    try {
      const begunMs = performance.now();
      await rds.send(new FailoverDBClusterCommand({ ...named, TargetDBInstanceIdentifier: to }));
      while (looksFirst && (await statusOf(rds)) === 'available') await wait(1_000 / speed);
      const { minDelay, maxDelay } = waiterSeconds;
      const patience = { client: rds, maxWaitTime: 600, minDelay: minDelay / speed, maxDelay: maxDelay / speed };
      await waitUntilDBClusterAvailable(patience, named);
      return { begunMs, toldMs: performance.now() };
    } finally {
      rds.destroy();
    }
  };
}

function clientOf({ cluster: { url } }: Environment<SandboxCluster>): RDSClient {
  return new RDSClient({ region, endpoint: url, credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' }, maxAttempts: 1 });
}

async function statusOf(rds: RDSClient): Promise<string | undefined> {
  const { DBClusters: clusters } = await rds.send(new DescribeDBClustersCommand({ DBClusterIdentifier: cluster }));
  return clusters?.[0]?.Status;
}

async function seen({ cluster: { url } }: Environment<SandboxCluster>): Promise<Seen> {
  const [database] = (await (await fetch(`${url}/sandbox/databases`)).json()) as Seen[];
  if (!database) throw new Error('the sandbox has no Aurora cluster');
  return database;
}

/** What one contender has begun must be over before the next. */
async function untilAtRest(environment: Environment<SandboxCluster>): Promise<void> {
  const rds = clientOf(environment);
  const giveUpAtMs = performance.now() + waitMaxMs;
  try {
    while (!(await isAtRest(rds))) {
      if (performance.now() > giveUpAtMs) throw new Error('the cluster does not come to rest');
      await wait(100);
    }
  } finally {
    rds.destroy();
  }
}

async function isAtRest(rds: RDSClient): Promise<boolean> {
  const { DBInstances: all = [] } = await rds.send(new DescribeDBInstancesCommand({}));
  return (await statusOf(rds)) === 'available' && all.every(({ DBInstanceStatus }) => DBInstanceStatus === 'available');
}

async function late(what: string): Promise<never> {
  await wait(waitMaxMs, undefined, { ref: false });
  throw new Error(`${what} within ${waitMaxMs / 1_000} s`);
}

function readSettings(): { rounds: number; speed: number; json: boolean } {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: String(roundsDefault) },
      speed: { type: 'string', default: String(speedDefault) },
      json: { type: 'boolean', default: false },
    },
  });
  return {
    rounds: wholeNumber('rounds', values.rounds, 1, roundsMax),
    speed: wholeNumber('speed', values.speed, 1, speedMax),
    json: values.json,
  };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
