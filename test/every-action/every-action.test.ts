import { afterEach, describe, expect, test } from '@jest/globals';
import type { Performance } from '../../activities/perform.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ActionCall } from '../../domain/action.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import { actionNames, findAction } from '../../runbooks/actions/index.ts';
import { readRunbook, shippedRunbooks } from '../../runbooks/library.ts';
import { untilTrue } from '../support/engine.ts';
import { isExhaustive } from '../support/exhaustive.ts';
import { region, startCluster, type TestCluster } from '../support/cluster.ts';
import type { ProxiedRequest } from '../support/proxy.ts';
import { differencesOf, inWords, lookAtRest, type WorldView } from '../support/scenario-world.ts';
import { missingScenario, openedByPeople, scenarios, shownInTheLab, shownWithBackups, type ActionScenario } from './scenarios.ts';

/** An action that writes more often is cut at this many of its writes: the first, the last and one between. */
const cutsMax = isExhaustive ? Infinity : 3;
const limitMs = 300_000;
/** The world runs this many times as fast as the clock: everything that EKS does takes minutes. */
const speed = 600;

let demo: TestCluster | undefined;
afterEach(() => demo?.stop());

/** Builds the world of a scenario and plans its action there. */
async function begin(scenario: ActionScenario): Promise<{ cluster: TestCluster; plan: ActionPlan; before: WorldView }> {
  await demo?.stop();
  const cluster = await startCluster(scenario.seed(), { speed, kind: scenario.kind });
  demo = cluster;
  await scenario.before?.(cluster);
  const before = await worldOf(cluster);
  const plan = await cluster.plan(scenario.action, await scenario.input(cluster));
  expect(plan.blockers).toEqual([]);
  return { cluster, plan, before };
}

function worldOf({ sandbox, target, clients }: TestCluster): Promise<WorldView> {
  return lookAtRest({ sandbox, cluster: target.name, eks: clients.eks(region) });
}

/** What is different but for the moments at which it was done. */
async function differencesSince(before: WorldView, cluster: TestCluster): Promise<string[]> {
  const timeless = (text: string): string => text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '{time}');
  const differences = differencesOf(before, await worldOf(cluster));
  return differences.filter((one) => timeless(one.before) !== timeless(one.after)).map(inWords);
}

/** Reviews of one's own permissions, and the questions of EC2, RDS and CloudWatch to the root, are sent as a POST and change nothing. */
function isWrite({ method, path, body }: Pick<ProxiedRequest, 'method' | 'path' | 'body'>): boolean {
  if (path === '/') return /(^|&)Action=(?!Describe)/.test(body);
  // Their filters are in their bodies.
  const isRead = path.endsWith('accessreviews') || path.endsWith('/insights');
  return method !== 'GET' && !isRead;
}

function writesOf({ proxy, sandbox, groups }: TestCluster): number {
  const ofDatabases = sandbox.world.databases.reduce((sum, { changesAccepted }) => sum + changesAccepted, 0);
  const others = proxy.requests.filter((request) => {
    const [method = '', path = ''] = request.split(' ');
    return isWrite({ method, path, body: '' });
  }).length;
  const ofGroups = groups.reduce((sum, { changesAccepted }) => sum + changesAccepted, 0);
  return ofDatabases + ofGroups + others;
}

/** What an action does in a world of its own: how many writes it takes, and what it leaves. */
async function carriedOut(scenario: ActionScenario): Promise<{ performed: Performance; writes: number; after: WorldView }> {
  const { cluster, plan } = await begin(scenario);
  const writesBefore = writesOf(cluster);
  const performed = await cluster.perform(scenario.action, plan);
  return { performed, writes: writesOf(cluster) - writesBefore, after: await worldOf(cluster) };
}

/** Which writes to cut after: all of them, or as many as are allowed, evenly. */
function cutsAmong(writes: number): number[] {
  const count = Math.min(writes, cutsMax);
  const cuts = Array.from({ length: count }, (_, index) => (count === 1 ? 1 : 1 + Math.round((index * (writes - 1)) / (count - 1))));
  return [...new Set(cuts)];
}

/**
 * Performs the plan until so many writes have reached the world. The answer of the last one is lost, and so is every request after it,
 * as when a worker is killed; then its successor begins, which remembers nothing.
 */
async function performUntilCut(cluster: TestCluster, action: string, plan: ActionPlan, writes: number): Promise<void> {
  const killed = new AbortController();
  const { answersLost } = cluster.proxy;
  let seen = 0;
  cluster.proxy.treat = (request) => {
    if (seen >= writes) return 'lose-request';
    if (!isWrite(request)) return 'pass';
    seen += 1;
    if (seen < writes) return 'pass';
    killed.abort(new Error('killed'));
    return 'lose-answer';
  };
  await expect(cluster.perform(action, plan, { signal: killed.signal })).rejects.toThrow();
  expect(seen).toBe(writes);
  // The one who has sent it does not wait for that.
  await untilTrue(() => cluster.proxy.answersLost > answersLost);
  cluster.proxy.treat = () => 'pass';
  cluster.renew();
}

/** What leads back, and why nothing does. `finished` tells whether the step was performed to its end. */
async function wayBack(
  cluster: TestCluster,
  action: string,
  plan: ActionPlan,
  finished: boolean,
): Promise<{ calls: ActionCall[]; reason: string; nothing: string }> {
  const seen = finished ? undefined : await cluster.observe(action, plan);
  const undo: unknown = await Promise.resolve(cluster.action(action).undo(plan, cluster.context(), seen));
  if (Array.isArray(undo)) return { calls: undo as ActionCall[], reason: '', nothing: '' };
  const { uses, noUndo = '', nothing = '' } = undo as Partial<ActionCall & { noUndo: string; nothing: string }>;
  return { calls: uses === undefined ? [] : [undo as ActionCall], reason: noUndo, nothing };
}

/** Goes back as the engine does, and performs each call a second time, which must change nothing. */
async function goBack(cluster: TestCluster, calls: readonly ActionCall[]): Promise<void> {
  for (const [index, call] of calls.entries()) {
    const context = { step: `undo:s/${index + 1}` };
    const plan = await cluster.plan(call.uses, call.with, context);
    expect(plan.blockers).toEqual([]);
    await cluster.perform(call.uses, plan, { context });
    const writes = writesOf(cluster);
    expect(await cluster.perform(call.uses, plan, { context })).toMatchObject({ before: 'done', acts: 0 });
    expect(writesOf(cluster)).toBe(writes);
  }
}

/** Goes back from where a step was left; the world is as before, or the action says why not. */
async function expectWayBack(scenario: ActionScenario, writes: number, finished: boolean): Promise<void> {
  const { cluster, plan, before } = await begin(scenario);
  if (finished) await cluster.perform(scenario.action, plan);
  else if (writes > 0) await performUntilCut(cluster, scenario.action, plan, writes);
  const { calls, reason } = await wayBack(cluster, scenario.action, plan, finished);
  if (reason === '') {
    await goBack(cluster, calls);
    expect(await differencesSince(before, cluster)).toEqual([]);
  } else {
    // What has not been begun can always be left as it is.
    expect([writes > 0, reason]).toEqual([true, expect.stringMatching(scenario.noWayBack ?? /^never$/)]);
  }
  expect(cluster.report().violations).toEqual([]);
}

describe.each(scenarios.map((scenario) => ({ ...scenario, name: [scenario.action, scenario.title].filter(Boolean).join(', ') })))(
  '$name',
  (scenario) => {
    let whole: ReturnType<typeof carriedOut> | undefined;
    /** Once for all that is compared with it. */
    const carriedOutWhole = (): ReturnType<typeof carriedOut> => (whole ??= carriedOut(scenario));

    test(
      'performed twice, it changes the world once; the plan made after it is empty',
      async () => {
        const { cluster, plan } = await begin(scenario);
        const first = await cluster.perform(scenario.action, plan);
        const writes = writesOf(cluster);
        cluster.renew();
        const second = await cluster.perform(scenario.action, plan);
        expect(second).toMatchObject({ before: 'done', acts: 0, outputs: lasting(first.outputs) });
        const again = await cluster.plan(scenario.action, await scenario.input(cluster));
        // What only reads does so each time.
        const left = findAction(scenario.action)?.change === 'reads' ? [] : again.effects;
        expect([left, again.blockers]).toEqual([[], []]);
        expect(writesOf(cluster)).toBe(writes);
        expect(cluster.report().violations).toEqual([]);
      },
      limitMs,
    );

    test(
      'killed after each of its writes, it goes on and ends where it would have ended',
      async () => {
        const { performed, writes, after } = await carriedOutWhole();
        for (const cut of cutsAmong(writes)) {
          const { cluster, plan } = await begin(scenario);
          await performUntilCut(cluster, scenario.action, plan, cut);
          const { outputs } = await cluster.perform(scenario.action, plan);
          expect(timeless(lasting(outputs))).toMatchObject(timeless(lasting(performed.outputs)));
          expect(await differencesSince(after, cluster)).toEqual([]);
          expect(cluster.report().violations).toEqual([]);
        }
      },
      limitMs,
    );

    test(
      'undone before it begins, after each of its writes and when it is done, the world is as before but for what it says cannot be undone',
      async () => {
        const { writes } = await carriedOutWhole();
        for (const cut of [0, ...cutsAmong(writes)]) await expectWayBack(scenario, cut, false);
        await expectWayBack(scenario, writes, true);
      },
      limitMs,
    );
  },
);

test('every action is carried out here, and so is everything that the shipped runbooks use', () => {
  const used = shippedRunbooks().flatMap((name) =>
    [...readRunbook(name).text.matchAll(/\buses: *([\w.]+)/g)].map(([, action = '']) => action),
  );
  expect(used.length).toBeGreaterThan(0);
  const known = new Set<string>(scenarios.map(({ action }) => action));
  const elsewhere = [...openedByPeople, ...shownInTheLab, ...shownWithBackups];
  const missing = [...new Set([...used, ...actionNames()])].filter((action) => !known.has(action) && !elsewhere.includes(action));
  expect(missing.map(missingScenario)).toEqual([]);
});

/** What a step gives to later ones, without the times: each world begins at its own. */
/** Outputs without how pods ended, which a worker knows of those that it has seen end. */
function lasting({ podEnds: _podEnds, ...outputs }: JsonObject = {}): JsonObject {
  return outputs;
}

function timeless(outputs: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(outputs).replace(/"\d{4}-\d{2}-\d{2}T[\d:.]+Z"/g, '"a time"')) as JsonObject;
}
