import type { RunbookDocument } from '../../domain/runbook.ts';
import { verifyEvidence } from '../../client/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { RunningProcess } from '../../lab/process.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { checkInputs } from '../../runbooks/compiler/inputs.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { Random } from '../../sandbox/random.ts';
import type { Violation } from '../../sandbox/observer.ts';
import { people } from '../../test/support/people.ts';
import { People, type Story } from './people.ts';
import type { Environment } from './environment.ts';
import { surroundingsOf } from './surroundings.ts';
import { simulatedTargetOf, type SimulatedTarget } from './world.ts';

const doubleKinds: readonly Violation['kind'][] = ['done-twice', 'updated-needlessly', 'evicted-twice', 'cordoned-twice'];

/** A run to simulate. */
export interface Assignment {
  seed: number;
  runbook: string;
  faultRate: number;
}

/** What became of a run and of its world. */
export interface Verdict extends Assignment, Pick<Story, 'outcome' | 'stuckWith' | 'words'> {
  seconds: number;
  faults: number;
  /** How often its worker was killed. */
  kills: number;
  /** What somebody else has done to the cluster meanwhile. */
  deeds: string[];
  violations: string[];
  doubleEffects: string[];
  leftovers: string[];
  /** Whatever else must not be: a lost run, a failed workflow, a record that does not verify. */
  troubles: string[];
}

/** Plays one run in a world of its own, under faults from before the start until its end, and then looks what is left. */
export async function simulate(environment: Environment, assignment: Assignment): Promise<Verdict> {
  const { seed, runbook, faultRate } = assignment;
  const beganAtMs = performance.now();
  const { simulated, document, inputs } = rehearse(assignment);
  const { circumstances, target } = simulated;
  const sandbox = await environment.startWorld(simulated, seed);
  const surroundings = await surroundingsOf(sandbox, simulated);
  const { others } = surroundings;
  const worker = circumstances.kills.length > 0 ? new MortalWorker(environment, simulated) : undefined;
  try {
    await worker?.start();
    const taskQueue = worker?.taskQueue ?? environment.taskQueue;
    const random = new Random(seed).stream(`people of ${runbook}`);
    const means = { kill: () => worker?.replace(), befall: others.act.bind(others) };
    sandbox.world.faults.set(circumstances.faults);
    const company = new People(environment, { taskQueue, target, random, circumstances }, means);
    const story = await company.play(document, inputs);
    others.stop();
    const troubles = [...story.troubles, ...(await troublesOf(environment, target, story)), ...(worker?.troubles ?? [])];
    if (story.outcome === 'lost') troubles.push(`its worker says: ${(await worker?.output()) ?? 'see the others'}`);
    const leftovers = story.outcome === 'lost' ? [] : await surroundings.leftovers(story.state);
    const { violations, counters } = sandbox.world.observer.summary();
    const own = violations.filter((violation) => !others.haveCaused(violation));
    const told = (double: boolean): string[] =>
      own.filter(({ kind }) => doubleKinds.includes(kind) === double).map(({ kind, sentence }) => `${kind}: ${sentence}`);
    return {
      ...assignment,
      faultRate,
      outcome: story.outcome,
      stuckWith: story.stuckWith,
      words: story.words,
      seconds: (performance.now() - beganAtMs) / 1000,
      faults: Object.values(counters.faults).reduce((sum, count) => sum + count, 0),
      kills: worker?.kills ?? 0,
      deeds: others.told,
      violations: told(false),
      doubleEffects: [...told(true), ...(await surroundings.doubleEffects(story.state))],
      leftovers,
      troubles,
    };
  } finally {
    others.stop();
    surroundings.close();
    await worker?.stop();
    await sandbox.stop();
  }
}

/**
 * The simulated of a run, its document and the inputs that this asks for, out of those that the simulated knows.
 * Throws for a runbook that does not compile, or asks for something else.
 */
export function rehearse({ seed, runbook, faultRate }: Assignment): {
  simulated: SimulatedTarget;
  document: RunbookDocument;
  inputs: JsonObject;
} {
  const simulated = simulatedTargetOf({ seed, runbook, faultRate, name: `sim-${process.pid}-${seed}-${runbook}` });
  const document = readRunbook(runbook);
  const { runbook: compiled, problems } = compileRunbook(document.text, document.file, undefined, document.runbooks);
  if (!compiled) throw new Error(`${document.file} does not compile: ${JSON.stringify(problems)}`);
  const asked = Object.keys(compiled.inputs.properties ?? {});
  const given = Object.fromEntries(Object.entries(simulated.inputs).filter(([name]) => asked.includes(name)));
  const checked = checkInputs(compiled, given);
  if (checked.problems.length === 0) return { simulated, document, inputs: checked.inputs };
  const missing = checked.problems.map(({ path, message }) => `${path}: ${message}`).join('; ');
  throw new Error(
    `The simulation does not know what ${document.file} asks for: ${missing}. Add it to the inputs in bench/simulation/world.ts.`,
  );
}

async function troublesOf(environment: Environment, target: string, { outcome, state }: Story): Promise<string[]> {
  const handle = environment.client.workflow.getHandle(target);
  if (outcome === 'lost') {
    await handle.terminate('lost by the simulation').catch(() => undefined);
    return [];
  }
  if (!state) return [];
  const troubles: string[] = [];
  await handle.result().catch((error: unknown) => troubles.push(`the workflow failed: ${String(error)}`));
  const keys = Object.fromEntries(people.map((person) => [person, { key: environment.keys[person].publicKey }]));
  const report = await verifyEvidence(state.evidence, keys);
  if (!report.ok || report.ending !== 'ended')
    troubles.push(`the record does not verify: ${JSON.stringify([report.ending, report.problems])}`);
  if (!state.ended?.reason) troubles.push('it has ended and does not say why');
  return troubles;
}

/** A worker of one run only, which can be killed without harm to other runs. */
class MortalWorker {
  readonly taskQueue: string;
  readonly troubles: string[] = [];
  kills = 0;
  private readonly environment: Environment;
  private running: Promise<RunningProcess | undefined> | undefined;

  constructor(environment: Environment, { cluster }: SimulatedTarget) {
    this.environment = environment;
    this.taskQueue = cluster;
  }

  async start(): Promise<void> {
    this.running = this.environment.startWorker(this.taskQueue);
    await this.running;
  }

  /** Kills it and starts another one, after one that may be starting just now. */
  replace(): void {
    this.kills += 1;
    this.running = this.running
      ?.then(async (worker) => {
        await worker?.kill();
        return this.environment.startWorker(this.taskQueue);
      })
      .catch((error: unknown) => {
        this.troubles.push(`no worker could be started in the place of the killed one: ${String(error)}`);
        return undefined;
      });
  }

  async output(): Promise<string | undefined> {
    return (await this.running)?.output();
  }

  async stop(): Promise<void> {
    await (await this.running)?.kill();
  }
}
