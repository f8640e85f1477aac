import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type WorkerOptions, type WorkflowBundle } from '@temporalio/worker';
import type { Calendar } from '../../domain/calendar/calendar.ts';
import { calendarsOf } from '../../domain/calendar/definition.ts';
import { alwaysFrozen } from '../../domain/calendar/freeze.ts';
import type { RunbookDocument } from '../../domain/runbook.ts';
import type { Phase, RunState } from '../../domain/run/state.ts';
import { everybody, type Policy } from '../../domain/approval/policy.ts';
import { defineAction, emptyPlan, type AnyAction } from '../../activities/action.ts';
import { createArtifactDirectory } from '../../activities/artifacts/directory.ts';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import { createPayloadStorage } from '../../activities/evidence/payloads.ts';
import type { EvidenceStore } from '../../activities/evidence/store.ts';
import { createClients } from '../../activities/clients.ts';
import { gateSystem } from '../../activities/gate/system.ts';
import { createActivities } from '../../activities/index.ts';
import type { OwnerAnnotation, TargetAnnotations } from '../../activities/system.ts';
import type { Target } from '../../domain/target.ts';
import { connectTemporal, type TemporalSettings } from '../../client/connection.ts';
import { verifyEvidence } from '../../client/evidence.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import { createKey, readKey } from '../../client/keys.ts';
import type { Signer } from '../../client/signing.ts';
import { askAgain, isUnanswered } from '../../client/temporal/asking.ts';
import type { ProgressItem } from '../../domain/action.ts';
import type { EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import type { ActionDeclaration } from '../../runbooks/actions/declaration.ts';
import { actions } from '../../runbooks/actions/index.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import {
  decideUpdate,
  searchAttributes,
  stateQuery,
  commandUpdate,
  type Admission,
  type DecisionAnswer,
  type DecisionRequest,
  type CommandResult,
  type CommandRequest,
} from '../../workflows/messages.ts';
import { quietTemporal } from './quiet-temporal.ts';
import { isRecording, recordHistory } from './recorded-history.ts';
import { workflowBundle } from './shared.ts';
import { temporalAddress } from './temporal.ts';

export const region = 'eu-central-1';
/** dana starts runs, ada, grace and linus may sign; oscar is known but in no group. */
export const people = ['dana', 'ada', 'grace', 'linus', 'oscar'] as const;
export type Person = (typeof people)[number];

const untilLimitMs = 120_000;
const untilPauseMs = 100;
/** Scripted actions take effect at once, so they are looked at again at once. */
const pace = { lookMinMs: 10, lookMaxMs: 200 };

/** A cluster of the tests: what its scripted actions find, how they fail, and what they have done. */
export class Site {
  /** Part of the facts of every plan: another number is another plan. */
  generation: Json = 1;
  blockers: Blocker[] = [];
  /** Units of work of the changing step, in order; done ones move to `done`. */
  todo = ['first', 'second', 'third'];
  readonly done: string[] = [];
  /** Thrown by the next looks or pushes of a step, one each. */
  readonly failures: Error[] = [];
  /** The outage that `kubernetes.drain` tells to have measured. */
  outage: Json | undefined;
  /** What `kubernetes.drain` has done, by node, and what it is to fail with. */
  readonly drained: string[] = [];
  /** How long each plan says that its step takes. */
  estimateMs = 0;
  readonly drainFailures = new Map<string, Error>();
  /** Set where the changes of the site cannot be undone. */
  noUndo: string | undefined;
  /** What was taken back, in order; what is in the way of it; what it is to fail with; a fact of its plan. */
  readonly undone: string[] = [];
  undoBlockers: Blocker[] = [];
  undoFailure: Error | undefined;
  wayBack: Json = 1;
  /** Nodes whose drain has failed. */
  readonly failed = new Set<string>();
  /** Units that are not finished before `finishSlow` is called or the step is asked to stop. */
  readonly slow = new Set<string>();
  /** Marked nodes with the run that marked them. */
  readonly marks = new Map<string, string>();
  /** Thrown by whoever lifts marks. */
  releaseFailure: Error | undefined;
  /** Whether a step was told to take somebody else's change for its own. */
  adopted = false;
  /** What the progress of the changing step shows of single objects. */
  items: ProgressItem[] = [];
  /** What plans of the step that only looks wait for, and how many do. */
  planGate: Promise<void> | undefined;
  planning = 0;
  /** How often a step was tried. */
  looks = 0;
  private readonly waiting = new Set<() => void>();

  finishSlow(): void {
    this.slow.clear();
    for (const resume of this.waiting) resume();
  }

  async act(run: string): Promise<void> {
    const unit = this.todo[0];
    if (unit === undefined) throw new Error('there is nothing left to do');
    this.marks.set(`node-${unit}`, run);
    if (this.slow.has(unit)) await this.finishedOrStopped(Context.current().cancellationSignal);
    this.done.push(unit);
    this.todo.shift();
  }

  finishedOrStopped(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.add(resolve);
      signal.addEventListener('abort', () => resolve());
    });
  }
}

/** A run that carries out a step. */
export interface Working {
  run: string;
  target: string;
  site: Site;
}

/** A run that waits at its first hold. */
export interface Held extends Working {
  state: RunState;
}

/** A worker with scripted actions on the shared Temporal server, and everything to work with it as a client. */
export interface Engine {
  client: Client;
  holdpoint: Holdpoint;
  settings: TemporalSettings;
  keys: Record<Person, Signer>;
  /** Where the worker keeps records, and what is too large for them and for histories. */
  evidence: EvidenceStore;
  /** Read anew by the worker each time, as holdpoint.yaml is. */
  configuration: Configuration;
  /** The calendars that runs keep to; their names must be in `configuration`, too. */
  calendars: Map<string, Calendar>;
  /** A cluster that no other test uses. */
  newSite(): { cluster: string; target: string; site: Site };
  /** Plans and starts as dana (or another person). */
  begin(cluster: string, document?: RunbookDocument, person?: Person): Promise<{ run: string; admission: Admission }>;
  /** Starts a run of a fresh site that does its units when it is signed by a policy, `one` if left out. */
  held(policy?: string): Promise<Held>;
  /** Starts a run whose first step does the three units of a fresh site, without a hold. */
  working(prepare?: (site: Site) => void): Promise<Working>;
  /** The state as soon as it is in that phase (or satisfies the test). */
  until(target: string, wanted: Phase | ((state: RunState) => boolean)): Promise<RunState>;
  /** Decides on what is open as that person. */
  decide(target: string, person: Person, decision?: 'approve' | 'reject', reason?: string): Promise<DecisionAnswer>;
  /** Sends an operator's word as a rogue client would, well signed. */
  sendVerb(target: string, person: Person, word: Pick<CommandRequest, 'run' | 'command' | 'step'>): Promise<CommandResult>;
  /** Sends a decision as a rogue client would, past everything that ours checks. */
  sendDecision(target: string, request: DecisionRequest): Promise<DecisionAnswer>;
  handle(target: string): WorkflowHandle;
  entries(run: string): Promise<EvidenceEntry[]>;
  /** Kinds of the entries of a record that verifies, in order; throws where it does not. */
  verifiedKinds(run: string): Promise<string[]>;
  /** Ends the worker as a deployment does, and starts another one; `between` is done while there is none. */
  replaceWorker(between?: () => Promise<void>): Promise<void>;
  /**
   * Runs the workflow's code on the history of its last run, or another one; throws where it would now decide otherwise.
   * Where histories are being recorded, one that has a name is written down.
   */
  replay(target: string, options?: { name?: string; historyOf?: WorkflowHandle }): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts the engine. Policies: `one` (one of sre), `two` (two of sre, not the requester), `short` (closes after 1.5 s).
 * `beforeEntry` can hold an entry back. The server is the one that all tests share unless the address of another one is given.
 */
export async function startEngine(
  name: string,
  beforeEntry: (kind: string, run: string) => Promise<void> = async () => undefined,
  address?: string,
): Promise<Engine> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-engine-'));
  const keys = await makeKeys(join(directory, 'keys'));
  const configuration = configurationOf(keys);
  const sites = new Map<string, Site>();
  const calendars: Engine['calendars'] = new Map();
  const evidence = createEvidenceDirectory(join(directory, 'evidence'));
  const settings = {
    address: address ?? (await temporalAddress()),
    namespace: 'default',
    taskQueue: `${name}-${process.pid}-${Date.now()}`,
  };
  const client = await connectTemporal(settings);
  await registerSearchAttributes(client.connection, settings.namespace, Object.values(searchAttributes));
  // Gates are the real ones.
  const gates = gateSystem(createClients({ endpoints: async () => configuration.endpoints ?? {} }));
  const scripted = { name: 'scripted', actions: [...scriptedActions(sites).values()], annotations: scriptedAnnotations(sites) };
  quietTemporal();
  const bundle = await workflowBundle();
  const activities = createActivities({
    artifacts: createArtifactDirectory(join(directory, 'artifacts')),
    systems: [scripted, gates],
    evidence: {
      ...evidence,
      append: async (run, entry) => {
        await beforeEntry(entry.kind, run);
        return evidence.append(run, entry);
      },
    },
    readConfiguration: async () => configuration,
    readNotifications: async () => configuration.notifications,
    readCalendars: async (definitions) =>
      new Map([...calendarsOf(definitions, () => alwaysFrozen('', 'it is not read here')).calendars, ...calendars]),
    // An attempt of these tests hears of its end with a heartbeat, ten of which come in a second.
    sweepSettleMs: 2_000,
  });
  const dataConverter = { externalStorage: createPayloadStorage(evidence) };
  const worksWith = { settings, workflowBundle: bundle, activities, dataConverter };
  let worker = await startWorker(worksWith);
  const holdpoint = new Holdpoint(client, settings);
  const handle = (target: string): WorkflowHandle => client.workflow.getHandle(target);
  const until: Engine['until'] = (target, wanted) => untilState(handle(target), wanted);
  const newSite: Engine['newSite'] = () => {
    const cluster = `${settings.taskQueue}-${sites.size}`;
    const site = new Site();
    sites.set(cluster, site);
    return { cluster, target: `eks/${region}/${cluster}`, site };
  };
  const begin: Engine['begin'] = async (cluster, document = runbookOf(), person = 'dana') => {
    const forecast = await holdpoint.plan(document, { cluster });
    return holdpoint.start(document, forecast, keys[person]);
  };
  return {
    client,
    holdpoint,
    settings,
    keys,
    evidence,
    configuration,
    calendars,
    handle,
    until,
    newSite,
    begin,
    held: async (policy = 'one') => {
      const { cluster, target, site } = newSite();
      const { run } = await begin(cluster, runbookOf({ policy }));
      return { run, target, site, state: await until(target, 'holding') };
    },
    working: async (prepare) => {
      const { cluster, target, site } = newSite();
      prepare?.(site);
      const { run, admission } = await begin(cluster, workAtOnce);
      if (!admission.admitted) throw new Error(`the run was refused: ${admission.reason}`);
      return { run, target, site };
    },
    decide: async (target, person, decision = 'approve', reason = 'looks right') => {
      const state = await until(target, ({ hold }) => hold !== undefined);
      if (!state.hold) throw new Error('unreachable');
      return holdpoint.decide(state, state.hold.request, decision, reason, keys[person]);
    },
    sendVerb: async (target, person, word) => {
      const claims = { ...word, person, reason: 'because' };
      const statement = { kind: 'command' as const, ...claims, at: new Date().toISOString(), nonce: randomUUID() };
      const signature = await keys[person].sign(statement);
      return handle(target).executeUpdate(commandUpdate, { args: [{ ...claims, signature }] });
    },
    sendDecision: (target, request) => handle(target).executeUpdate(decideUpdate, { args: [request] }),
    entries: (run) => evidence.read(run),
    verifiedKinds: async (run) => {
      const report = await verifyEvidence(evidence.pathOf(run), configuration.people, { authority: configuration });
      if (!report.ok) throw new Error(`the record of ${run} does not verify: ${JSON.stringify(report.problems)}`);
      return (await evidence.read(run)).map(({ kind }) => kind);
    },
    replay: async (target, { name, historyOf = handle(target) } = {}) => {
      const history = await historyOf.fetchHistory();
      if (name !== undefined && isRecording) await recordHistory(name, history, directory);
      await Worker.runReplayHistory({ workflowBundle: bundle, dataConverter, replayName: settings.taskQueue }, history, target);
    },
    replaceWorker: async (between) => {
      await worker.stop();
      await between?.();
      worker = await startWorker(worksWith);
    },
    stop: async () => {
      await worker.stop();
      await Runtime.instance().shutdown();
      await client.connection.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A runbook whose first span looks and whose second one, after a hold, does the three units of a site. */
export function runbookOf({ policy = 'one' }: { policy?: string } = {}): RunbookDocument {
  return documentOf(`
  - { id: look, uses: eks.preflight }
  - { id: sign, hold: ${policy}, question: 'Work on \${inputs.cluster}?' }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }`);
}

/** A runbook of the tests with other steps. */
export function documentOf(steps: string): RunbookDocument {
  const text = `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: scripted, title: Scripted work }
inputs:
  type: object
  required: [cluster]
  properties: { cluster: { type: string } }
target: eks/${region}/\${inputs.cluster}
steps:${steps}
`;
  return { file: 'scripted.yaml', text };
}

/** Without a hold, so that a run is in the step at once. */
export const workAtOnce = documentOf(`
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }`);

/** Resolves as soon as the check passes; fails after a limit. */
export async function untilTrue(passes: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + untilLimitMs;
  while (!(await passes())) {
    if (Date.now() > giveUpAt) throw new Error(`waited ${untilLimitMs} ms in vain for ${String(passes)}`);
    await wait(untilPauseMs);
  }
}

async function makeKeys(directory: string): Promise<Record<Person, Signer>> {
  const keys: [Person, Signer][] = [];
  for (const person of people) {
    await createKey(person, directory);
    keys.push([person, await readKey(person, directory)]);
  }
  return Object.fromEntries(keys) as Record<Person, Signer>;
}

function configurationOf(keys: Record<Person, Signer>): Configuration {
  const policy = (name: string, rest: Partial<Policy>): Policy => ({
    name,
    atLeast: 1,
    of: 'sre',
    exclude: [],
    reason: 'optional',
    expiresMs: 600_000,
    ...rest,
  });
  return {
    people: Object.fromEntries(people.map((person) => [person, { name: person, key: keys[person].publicKey }])),
    groups: { sre: ['dana', 'ada', 'grace', 'linus'] },
    policies: {
      one: policy('one', { exclude: ['requester'] }),
      two: policy('two', { atLeast: 2, exclude: ['requester'] }),
      short: policy('short', { expiresMs: 1_500 }),
      reasoned: policy('reasoned', { reason: 'required' }),
    },
    // Many a runbook of the tests goes to its point without a hold.
    rules: [{ start: [everybody] }],
  };
}

async function startWorker({
  settings,
  ...options
}: Pick<WorkerOptions, 'activities' | 'dataConverter'> & { settings: TemporalSettings; workflowBundle: WorkflowBundle }): Promise<{
  stop(): Promise<void>;
}> {
  const connection = await NativeConnection.connect({ address: settings.address });
  const worker = await Worker.create({
    connection,
    namespace: settings.namespace,
    taskQueue: settings.taskQueue,
    ...options,
    // A pause is heard of with the next heartbeat.
    maxHeartbeatThrottleInterval: 100,
    defaultHeartbeatThrottleInterval: 100,
    shutdownForceTime: 5_000,
  });
  const running = worker.run();
  running.catch(() => undefined);
  return {
    stop: async () => {
      worker.shutdown();
      await running.catch(() => undefined);
      await connection.close();
    },
  };
}

async function untilState(handle: WorkflowHandle, wanted: Phase | ((state: RunState) => boolean)): Promise<RunState> {
  const passes = typeof wanted === 'string' ? ({ phase }: RunState) => phase === wanted : wanted;
  const giveUpAt = Date.now() + untilLimitMs;
  for (;;) {
    // On a busy machine nobody answers for a while.
    const question = askAgain(handle.client.connection, () => handle.query(stateQuery));
    const state = await question.catch((error: unknown) => {
      if (isUnanswered(error)) return undefined;
      throw error;
    });
    if (state && passes(state)) return state;
    if (Date.now() > giveUpAt) throw new Error(`waited ${untilLimitMs} ms in vain; the run is ${JSON.stringify(state, null, 1)}`);
    await wait(untilPauseMs);
  }
}

function siteOf(sites: Map<string, Site>, cluster: string): Site {
  const site = sites.get(cluster);
  if (!site) throw new Error(`the tests have no cluster ${cluster}`);
  return site;
}

function atOnce(declaration: ActionDeclaration): ActionDeclaration {
  return { ...declaration, limits: { ...declaration.limits, pace } };
}

/** `eks.preflight` only looks; `kubernetes.cordon` does one unit with each push. */
function scriptedActions(sites: Map<string, Site>): Map<string, AnyAction> {
  const planOf = ({ generation, blockers, todo }: Site, changes: boolean): ReturnType<typeof emptyPlan<JsonObject>> => ({
    ...emptyPlan<JsonObject>({ generation }),
    blockers,
    effects: changes ? todo.map((unit) => ({ object: `Node/node-${unit}`, change: 'cordon' })) : [],
  });
  const outputs = { version: '1.33', nodes: ['node-first'] };
  const preflight = defineAction<JsonObject, JsonObject>({
    declaration: atOnce(actions['eks.preflight']),
    plan: async (_input, { target }) => {
      const site = siteOf(sites, target.name);
      site.planning += 1;
      await site.planGate;
      site.planning -= 1;
      return { ...planOf(site, false), outputs };
    },
    observe: async () => ({ state: 'done', outputs }),
    act: async () => undefined,
    undo: async () => ({ noUndo: 'It changes nothing.' }),
  });
  const cordon = defineAction<JsonObject, JsonObject>({
    declaration: atOnce(actions['kubernetes.cordon']),
    plan: async (_input, { target }) => planOf(siteOf(sites, target.name), true),
    observe: async (_plan, { target, adopt }) => {
      const site = siteOf(sites, target.name);
      site.looks += 1;
      site.adopted ||= adopt === true;
      const failure = site.failures.shift();
      if (failure) throw failure;
      const total = site.done.length + site.todo.length;
      const progress = { summary: `${site.done.length} of ${total}`, done: site.done.length, total, unit: 'nodes', items: site.items };
      return site.todo.length === 0 ? { state: 'done', outputs: { nodes: [...site.done] }, progress } : { state: 'todo', progress };
    },
    act: async (_plan, { target, run }) => siteOf(sites, target.name).act(run),
    undo: async (_plan, { target }) => {
      const { noUndo, done } = siteOf(sites, target.name);
      if (done.length === 0) return { nothing: 'No unit was done.' };
      return noUndo === undefined ? [{ uses: 'kubernetes.uncordon', with: { nodes: [...done] } }] : { noUndo };
    },
  });
  return new Map([preflight, cordon, drainOf(sites), uncordonOf(sites)].map((action) => [action.declaration.name, action]));
}

/** `kubernetes.drain` does its nodes one after another, and fails at those it is told to fail at. */
function drainOf(sites: Map<string, Site>): AnyAction {
  const nodesOf = ({ facts }: { facts: JsonObject }): string[] => facts.nodes as string[];
  return defineAction<JsonObject, JsonObject>({
    declaration: { ...atOnce(actions['kubernetes.drain']), interrupts: true },
    plan: async ({ nodes }, { target }) => {
      const left = (nodes as string[]).filter((node) => !siteOf(sites, target.name).drained.includes(node));
      const effects = left.map((node) => ({ object: `Node/${node}`, change: 'drain' }));
      const { generation, estimateMs } = siteOf(sites, target.name);
      const facts = { nodes: nodes ?? [], ...(generation !== 1 && { generation }) };
      return { ...emptyPlan<JsonObject>(facts), effects, outputs: { nodes: nodes ?? [] }, estimateMs };
    },
    observe: async (plan, { target }) => {
      const { drained, drainFailures, outage } = siteOf(sites, target.name);
      const failing = nodesOf(plan).find((node) => drainFailures.has(node));
      if (failing !== undefined) {
        siteOf(sites, target.name).failed.add(failing);
        throw drainFailures.get(failing) as Error;
      }
      const done = nodesOf(plan).every((node) => drained.includes(node));
      const progress = { summary: `draining ${nodesOf(plan).join(', ')}`, done: 0, total: 1, unit: 'nodes', items: [] };
      const outputs = { nodes: nodesOf(plan), ...(outage !== undefined && { outage }) };
      return done ? { state: 'done', outputs } : { state: 'todo', progress };
    },
    act: async (plan, { target, run }) => {
      const site = siteOf(sites, target.name);
      const node = nodesOf(plan).find((name) => !site.drained.includes(name)) ?? '';
      site.marks.set(node, run);
      if (site.slow.has(node)) await site.finishedOrStopped(Context.current().cancellationSignal);
      site.drained.push(node);
    },
    undo: async (plan, { target }) => {
      const { noUndo } = siteOf(sites, target.name);
      return noUndo === undefined ? [{ uses: 'kubernetes.uncordon', with: { nodes: nodesOf(plan) } }] : { noUndo };
    },
  });
}

/** `kubernetes.uncordon` takes back what the other two have done. */
function uncordonOf(sites: Map<string, Site>): AnyAction {
  const changed = (site: Site, nodes: readonly string[]): string[] =>
    nodes.filter((node) => site.drained.includes(node) || site.done.includes(node));
  return defineAction<JsonObject, JsonObject>({
    declaration: atOnce(actions['kubernetes.uncordon']),
    plan: async ({ nodes }, { target }) => {
      const site = siteOf(sites, target.name);
      const effects = changed(site, nodes as string[]).map((node) => ({ object: `Node/${node}`, change: 'uncordon' }));
      return { ...emptyPlan<JsonObject>({ nodes: nodes ?? [], wayBack: site.wayBack }), blockers: site.undoBlockers, effects };
    },
    observe: async ({ facts }, { target }) => {
      const site = siteOf(sites, target.name);
      if (site.undoFailure) throw site.undoFailure;
      return changed(site, facts.nodes as string[]).length > 0 ? { state: 'todo' } : { state: 'done', outputs: {} };
    },
    act: async ({ facts }, { target }) => {
      const site = siteOf(sites, target.name);
      const [node = ''] = changed(site, facts.nodes as string[]);
      if (site.done.includes(node)) site.todo.push(node);
      for (const list of [site.drained, site.done]) if (list.includes(node)) list.splice(list.indexOf(node), 1);
      site.undone.push(node);
    },
    undo: async () => ({ noUndo: 'The test does not ask.' }),
  });
}

/** What the scripted actions leave at their sites, as a system tells it. */
function scriptedAnnotations(sites: Map<string, Site>): TargetAnnotations {
  const marksOf = ({ name }: Target): Map<string, string> => {
    const { marks, releaseFailure } = siteOf(sites, name);
    if (releaseFailure) throw releaseFailure;
    return marks;
  };
  const find = (target: Target): OwnerAnnotation[] => [...marksOf(target)].map(([node, run]) => ({ node, run }));
  const lift = (target: Target, { node, run }: OwnerAnnotation): boolean =>
    marksOf(target).get(node) === run && marksOf(target).delete(node);
  return {
    kinds: ['eks'],
    find: async (target) => find(target),
    lift: async (target, annotation) => lift(target, annotation),
    release: async (target, run) => find(target).flatMap((found) => (found.run === run && lift(target, found) ? [found.node] : [])),
  };
}
