import { parseArgs } from 'node:util';
import { rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';
import { startEnvironment, type Environment } from './rotation/environment.ts';
import { Aftermath, isDone, type Left } from './upgrade/aftermath.ts';
import { eksupgrade, holdpoint, script, type Contender } from './upgrade/contenders.ts';
import { clusterName, nodegroups } from './upgrade/world.ts';

/** How much faster than a clock on the wall the world goes. */
const speedDefault = 40;
const speedMax = 200;
/** In the middle: the control plane has the version, some add-ons too, and the first node group is under way. */
const [firstGroup = ''] = nodegroups;

/** One upgrade from its beginning to its end. Times in seconds of the world. */
interface Measured {
  makespanSeconds: number;
  awsRequests: number;
  kubernetesRequests: number;
  /** Moments at which voluntary acts held a PDB below what it asks for, by the observer. */
  violations: number;
  left: Left;
}

/** What a contender leaves that is killed while the first node group is updated, when EKS has ended what was begun. */
interface Killed {
  left: Left;
  /** How it ended, where another process of it goes on by itself. */
  resumed?: { phase: string; left: Left; violations: number };
}

/**
 * `npm run bench:upgrade -- [--speed 40] [--only NAME] [--json]`: upgrades the same cluster by one minor version, with five add-ons and
 * three node groups, each time in a sandbox of its own with the same chances: EKS at its best, EKS in the order of a run, a run of
 * Holdpoint, a script in eksctl's order with the SDK's waiters, and `eksupgrade` where it is installed (BENCH_EKSUPGRADE names it). What
 * Holdpoint does itself takes real time, in which the world goes on `speed` times as fast: `addedShare` takes it for what it is. Exit code
 * 1 where Holdpoint leaves anything, breaks a budget, or adds more than 5 %.
 */
async function main(): Promise<number> {
  const { speed, only, json } = readSettings();
  const other = eksupgrade();
  if (!other)
    console.error('eksupgrade is not installed, so it is left out: pip install eksupgrade==0.9.0, and name it in BENCH_EKSUPGRADE.');
  const bounds = [script('at-best'), script('in-order')];
  const rivals = [holdpoint, script('eksctl-order'), ...(other ? [other] : [])];
  const measured: Record<string, Measured & { killed?: Killed }> = {};
  for (const contender of [...bounds, ...rivals].filter(({ name }) => only === undefined || name === only)) {
    console.error(`${contender.name} upgrades the cluster.`);
    measured[contender.name] = await inWorld(speed, (environment) => measure(contender, environment, speed));
    console.error(JSON.stringify(measured[contender.name]));
  }
  for (const contender of rivals.filter(({ name }) => measured[name] !== undefined)) {
    console.error(`${contender.name} is killed while ${firstGroup} is updated.`);
    const killed = await inWorld(speed, (environment) => kill(contender, environment, speed));
    console.error(JSON.stringify(killed));
    Object.assign(measured[contender.name] ?? {}, { killed });
  }
  const figures = { speed, ...sharesOf(measured, speed), contenders: measured, machine: machine() };
  console.log(json ? JSON.stringify(figures) : JSON.stringify(figures, null, 2));
  return holds(measured.holdpoint, figures.addedShare) ? 0 : 1;
}

/** What Holdpoint adds to what EKS takes in the same order: its own seconds are seconds on the wall, of any world. */
function sharesOf(measured: Readonly<Record<string, Measured>>, speed: number): { addedSeconds?: number; addedShare?: number } {
  const [own, bound] = [measured.holdpoint?.makespanSeconds, measured['in-order']?.makespanSeconds];
  if (own === undefined || bound === undefined) return {};
  const addedSeconds = (own - bound) / speed;
  return { addedSeconds: rounded(addedSeconds), addedShare: Math.round((1000 * addedSeconds) / bound) / 1000 };
}

const addedShareMax = 0.05;

function holds(own: (Measured & { killed?: Killed }) | undefined, addedShare = 0): boolean {
  if (!own) return true;
  const resumed = own.killed?.resumed;
  const isWhole = isDone(own.left) && resumed !== undefined && isDone(resumed.left);
  return isWhole && own.violations + resumed.violations === 0 && addedShare <= addedShareMax;
}

async function inWorld<Result>(speed: number, act: (environment: Environment) => Promise<Result>): Promise<Result> {
  const world = { program: 'bench/upgrade/sandbox-main', more: ['bench/upgrade/script-main'], args: [String(speed)] };
  const environment = await startEnvironment({ ...world, cluster: clusterName, nodegroup: firstGroup, workloads: [] });
  try {
    return await act(environment);
  } finally {
    await environment.stop();
  }
}

async function measure(contender: Contender, environment: Environment, speed: number): Promise<Measured> {
  const before = await requestsOf(environment);
  const { over, begunAtMs } = await contender.begin(environment, speed);
  await over;
  const seconds = ((performance.now() - begunAtMs) / 1000) * speed;
  const after = await requestsOf(environment);
  const aftermath = new Aftermath(environment.url);
  try {
    return {
      makespanSeconds: rounded(seconds),
      awsRequests: after.aws - before.aws,
      kubernetesRequests: after.kubernetes - before.kubernetes,
      violations: (await environment.observed()).violations,
      left: await aftermath.left(),
    };
  } finally {
    aftermath.close();
  }
}

async function kill(contender: Contender, environment: Environment, speed: number): Promise<Killed> {
  const aftermath = new Aftermath(environment.url);
  try {
    const attempt = await contender.begin(environment, speed);
    attempt.over.catch(() => undefined);
    await aftermath.untilUpdating(firstGroup);
    await attempt.process.kill();
    await aftermath.untilAtRest();
    const left = await aftermath.left();
    if (!attempt.goOn) return { left };
    const phase = await attempt.goOn();
    return { left, resumed: { phase, left: await aftermath.left(), violations: (await environment.observed()).violations } };
  } finally {
    aftermath.close();
  }
}

async function requestsOf(environment: Environment): Promise<{ aws: number; kubernetes: number }> {
  const answer = await fetch(`${environment.url}/bench/aws-requests`);
  const { requests } = (await answer.json()) as { requests: number };
  return { aws: requests, kubernetes: (await environment.observed()).requests };
}

function readSettings(): { speed: number; only?: string; json: boolean } {
  const { values } = parseArgs({
    options: {
      speed: { type: 'string', default: String(speedDefault) },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  return { speed: wholeNumber('speed', values.speed, 1, speedMax), only: values.only, json: values.json };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
