import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RunState } from '../../domain/run/state.ts';
import { refusalIn } from '../../client/remote-error.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { inTurns } from '../support/in-turns.ts';
import { startEnvironment, told, type Scenario, type Environment } from '../support/scenario.ts';
import { shipped } from '../support/scenarios.ts';
import { startWorkerHere, type WorkerHere } from '../support/scenario-workers.ts';
import type { Difference } from '../support/scenario-world.ts';
import { temporalAddress } from '../support/temporal.ts';

const scenariosAtOnceMax = 6;

/** When a step fails: before it has done anything, after its first act, or when it is done and nobody hears so. */
const moments = ['before it begins', 'in the middle', 'when it is done'] as const;

/** A run in which one step fails, and which is undone then. */
interface Case {
  runbook: string;
  step: string;
  moment: (typeof moments)[number];
  /** Whether each step of the rollback is performed twice. */
  twice: boolean;
}

let environment: Environment;
let worker: WorkerHere;
/** What is wrong, a line for each of it, by runbook. */
const problems = new Map<string, Promise<string[]>>();
beforeAll(async () => {
  environment = await startEnvironment('undo', await temporalAddress());
  worker = await startWorkerHere(environment);
  const cases = (await Promise.all(shipped.map(casesOf))).flat();
  const found = inTurns(cases, scenariosAtOnceMax, failAndUndo);
  for (const runbook of shipped) {
    const own = found.filter((_problems, index) => cases[index]?.runbook === runbook);
    const all = Promise.all(own).then((lists) => lists.flat());
    all.catch(() => undefined);
    problems.set(runbook, all);
  }
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await environment.stop();
});

/** Every step at every moment; a step that only reads has but one. */
async function casesOf(runbook: string): Promise<Case[]> {
  const scenario = await environment.raise(runbook, worker);
  const steps = await scenario.steps();
  await scenario.stop();
  return steps.flatMap(({ id: step, changes }): Case[] => {
    if (!changes) return [{ runbook, step, moment: 'before it begins', twice: false }];
    const once = moments.map((moment) => ({ runbook, step, moment, twice: false }));
    return [...once, { runbook, step, moment: 'when it is done', twice: true }];
  });
}

async function failAndUndo(wanted: Case): Promise<string[]> {
  const { runbook, step, moment, twice } = wanted;
  const name = `${step} fails ${moment}${twice ? ', every undo twice' : ''}`;
  try {
    const scenario = await environment.raise(runbook, worker);
    const before = await scenario.world();
    const seen = interfere(scenario, wanted);
    await scenario.begin();
    const { state, reasons } = await goBack(scenario, await scenario.follow({ until: ['stuck'] }));
    const differences = await scenario.differencesSince(before);
    const unexplained = differences.filter((difference) => !isNamed(difference, reasons));
    const found = [
      ...(seen.failed ? [] : ['it never failed']),
      ...seen.secondTimes,
      ...told(unexplained).map((line) => `not as before: ${line}`),
      ...(unexplained.length > 0 ? [`the reasons given: ${reasons}`] : []),
      ...(differences.length > 0 ? [] : (await scenario.leftovers()).map((line) => `left behind: ${line}`)),
      ...(await scenario.troubles(state)),
    ];
    await scenario.stop();
    return found.map((line) => `${name}: ${line}`);
  } catch (error) {
    return [`${name}: ${String(error)}`];
  }
}

/** Has the step fail once, and the undoing of steps done twice if that is wanted; says what came of it. */
function interfere(scenario: Scenario, { step: failing, moment, twice }: Case): { failed: boolean; secondTimes: string[] } {
  const seen = { failed: false, secondTimes: [] as string[] };
  const fail = (): never => {
    seen.failed = true;
    throw new HoldpointError('action-stuck', { cause: 'The test wants it to fail.', remedy: 'Have it undone.' });
  };
  worker.interfere.set(scenario.cluster, {
    aroundPerform: async ({ step }, perform) => {
      if (step === failing && !seen.failed && moment === 'before it begins') fail();
      const performed = await perform();
      if (step === failing && !seen.failed && moment === 'when it is done') fail();
      if (!twice || !step.startsWith('undo:')) return performed;
      const writesBefore = scenario.writes();
      const { before, acts } = await perform();
      const writes = scenario.writes() - writesBefore;
      if (before !== 'done' || acts > 0 || writes > 0) {
        seen.secondTimes.push(`${step} found ${before} the second time, and acted ${acts} times with ${writes} writes`);
      }
      return performed;
    },
    afterAct: async ({ step }) => {
      if (step === failing && !seen.failed && moment === 'in the middle') fail();
    },
  });
  return seen;
}

/** Has a stuck run undone, or aborted where nothing can be; `reasons` are those that the run gives for what stays. */
async function goBack(scenario: Scenario, stuck: RunState): Promise<{ state: RunState; reasons: string }> {
  let refusal = '';
  if (stuck.phase === 'stuck') {
    try {
      await scenario.operate('undo');
    } catch (error) {
      const refused = refusalIn(error);
      if (!refused) throw error;
      refusal = refused.code === 'undo-impossible' ? refused.message : '';
      await scenario.operate('abort');
    }
  }
  const state = await scenario.follow();
  const stays = (state.ended?.leftovers ?? []).filter((line) => line.includes(' stays: '));
  return { state, reasons: [refusal, ...stays].join('\n') };
}

/** Whether the reasons name the object, or the node group that a node belongs to. */
function isNamed({ object, group }: Difference, reasons: string): boolean {
  const names = [object.split(' ')[1] ?? '', ...(group === undefined ? [] : [group])];
  return names.some((name) => new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(reasons));
}

test.each(shipped)(
  '%s: when a step has failed and the run is undone, the world is as before but for what cannot be undone',
  async (runbook) => {
    expect(await problems.get(runbook)).toEqual([]);
  },
  400_000,
);
