import { setTimeout as wait } from 'node:timers/promises';
import { verifyEvidence } from '../../client/evidence.ts';
import type { RunningProcess } from '../../lab/process.ts';
import { compileRunbook } from '../../runbooks/compile.ts';
import { checkInputs } from '../../runbooks/inputs.ts';
import { readRunbook } from '../../runbooks/library.ts';
import type { Leftover } from '../../sandbox/leftovers.ts';
import type { Violation } from '../../sandbox/observer.ts';
import type { Sandbox } from '../../sandbox/server.ts';
import type { RunbookDocument, RunState } from '../../workflows/messages.ts';
import { People, type Course } from './people.ts';
import { people } from '../../test/support/site.ts';
import type { Stage } from './stage.ts';
import { region, sceneOf, type Scene } from './world.ts';

/** How long a world may take, once the run is over, to finish what controllers and EKS have begun. */
const settleMaxMs = 40_000;
const settlePauseMs = 100;

const doubleKinds: readonly Violation['kind'][] = ['done-twice', 'updated-needlessly', 'evicted-twice', 'cordoned-twice'];

/** A run to simulate. */
export interface Assignment {
  seed: number;
  runbook: string;
  faultRate: number;
}

/** What became of a run and of its world. */
export interface Verdict extends Assignment, Pick<Course, 'outcome' | 'stuckWith'> {
  seconds: number;
  faults: number;
  violations: string[];
  doubleEffects: string[];
  leftovers: string[];
  /** Whatever else must not be: a lost run, a failed workflow, a record that does not verify. */
  troubles: string[];
}

/** Plays one run in a world of its own, under faults from before the start until its end, and then looks what is left. */
export async function simulate(stage: Stage, assignment: Assignment): Promise<Verdict> {
  const { seed, runbook, faultRate } = assignment;
  const beganAtMs = performance.now();
  const scene = sceneOf({ seed, runbook, faultRate, name: `sim-${process.pid}-${seed}-${runbook}` });
  const sandbox = await stage.startWorld(scene, seed);
  const target = `eks/${region}/${scene.cluster}`;
  const worker = scene.circumstances.kills.length > 0 ? new MortalWorker(stage, scene) : undefined;
  try {
    await worker?.start();
    const document = readRunbook(runbook);
    const company = new People(stage, worker?.taskQueue ?? stage.taskQueue, seed, scene.circumstances);
    sandbox.world.faults.set(scene.circumstances.faults);
    const course = await company.play(document, inputsFor(document, scene), target, () => worker?.replace());
    sandbox.world.faults.set({ rate: 0 });
    const troubles = await troublesOf(stage, target, course);
    if (course.trouble !== undefined) troubles.push(`${course.trouble}; its worker says: ${(await worker?.output()) ?? 'see the others'}`);
    const leftovers = await leftoversOf(sandbox, course.state);
    const { violations, counters } = sandbox.world.observer.summary();
    const told = (double: boolean): string[] =>
      violations.filter(({ kind }) => doubleKinds.includes(kind) === double).map(({ kind, sentence }) => `${kind}: ${sentence}`);
    return {
      ...assignment,
      outcome: course.outcome,
      stuckWith: course.stuckWith,
      seconds: (performance.now() - beganAtMs) / 1000,
      faults: Object.values(counters.faults).reduce((sum, count) => sum + count, 0),
      violations: told(false),
      doubleEffects: told(true),
      leftovers: leftovers.map(({ kind, object, sentence }) => `${kind}: ${object}: ${sentence}`),
      troubles,
    };
  } finally {
    await worker?.stop();
    await sandbox.stop();
  }
}

/** The inputs that a runbook asks for, out of those that a scene knows. Throws for a runbook that asks for another one. */
function inputsFor(document: RunbookDocument, { inputs }: Scene): ReturnType<typeof checkInputs>['inputs'] {
  const { runbook, problems } = compileRunbook(document.text, document.file);
  if (!runbook) throw new Error(`${document.file} does not compile: ${JSON.stringify(problems)}`);
  const asked = Object.keys(runbook.inputs.properties ?? {});
  const given = Object.fromEntries(Object.entries(inputs).filter(([name]) => asked.includes(name)));
  const checked = checkInputs(runbook, given);
  if (checked.problems.length > 0) {
    throw new Error(`the simulation has no inputs for ${document.file}: ${JSON.stringify(checked.problems)}`);
  }
  return checked.inputs;
}

async function troublesOf(stage: Stage, target: string, { outcome, state }: Course): Promise<string[]> {
  const handle = stage.client.workflow.getHandle(target);
  if (outcome === 'lost') {
    await handle.terminate('lost by the simulation').catch(() => undefined);
    return [];
  }
  if (!state) return [];
  const troubles: string[] = [];
  await handle.result().catch((error: unknown) => troubles.push(`the workflow failed: ${String(error)}`));
  const keys = Object.fromEntries(people.map((person) => [person, { key: stage.keys[person].publicKey }]));
  const report = await verifyEvidence(state.evidence, keys);
  if (!report.ok || report.ending !== 'ended')
    troubles.push(`the record does not verify: ${JSON.stringify([report.ending, report.problems])}`);
  return troubles;
}

/** What is left once the world has come to rest. */
async function leftoversOf({ world }: Sandbox, state: RunState | undefined): Promise<Leftover[]> {
  const giveUpAtMs = performance.now() + settleMaxMs;
  for (;;) {
    const left = world.leftovers().leftovers.filter((leftover) => !isNamed(leftover, state));
    if (left.length === 0 || performance.now() > giveUpAtMs) return left;
    await wait(settlePauseMs);
  }
}

/** A node group that the run was asked to make, or says that it leaves behind, is no leftover. */
function isNamed({ kind }: Leftover, state: RunState | undefined): boolean {
  if (kind !== 'nodegroup' || !state) return false;
  const making = state.steps.filter(({ uses }) => uses === 'eks.createNodegroup');
  if (state.phase === 'done') return making.length > 0;
  return making.some(({ id }) => state.ended?.leftovers.some((sentence) => sentence.startsWith(`step ${id} `)));
}

/** A worker of one run only, which can be killed without harm to other runs. */
class MortalWorker {
  readonly taskQueue: string;
  private readonly stage: Stage;
  private running: Promise<RunningProcess> | undefined;

  constructor(stage: Stage, { cluster }: Scene) {
    this.stage = stage;
    this.taskQueue = cluster;
  }

  async start(): Promise<void> {
    this.running = this.stage.startWorker(this.taskQueue);
    await this.running;
  }

  /** Kills it and starts another one, after one that may be starting just now. */
  replace(): void {
    this.running = this.running?.then(async (worker) => {
      await worker.kill();
      return this.stage.startWorker(this.taskQueue);
    });
  }

  async output(): Promise<string | undefined> {
    return (await this.running)?.output();
  }

  async stop(): Promise<void> {
    await (await this.running)?.kill();
  }
}
