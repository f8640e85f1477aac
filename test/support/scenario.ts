import { mkdtemp, rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { EKSClient } from '@aws-sdk/client-eks';
import type { Client } from '@temporalio/client';
import { HoldpointError } from '../../domain/errors.ts';
import type { CommandName } from '../../domain/approval/statement.ts';
import type { RunbookDocument } from '../../domain/runbook.ts';
import type { Forecast } from '../../domain/plan/forecast.ts';
import { endPhases, type HoldState, type Phase, type RunState } from '../../domain/run/state.ts';
import { standingOf } from '../../domain/approval/request.ts';
import { connectTemporal } from '../../client/connection.ts';
import { verifyEvidence, type EvidenceReport } from '../../client/evidence.ts';
import { Holdpoint, type LiveRun } from '../../client/holdpoint.ts';
import type { Signer } from '../../client/signing.ts';
import type { JsonObject } from '../../domain/json.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { findAction } from '../../runbooks/actions/index.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { createCloud } from '../../sandbox/cloud.ts';
import { serveClouds, type CloudOfWorld } from '../../sandbox/clouds.ts';
import type { WorldSeed } from '../../sandbox/seed.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { demoRegion } from '../../sandbox/worlds/demo.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { attend, inputsFor, targetKindOf, worldNamed } from './scenarios.ts';
import { differencesOf, inWords, lookAtRest, type Difference, type WorldView } from './scenario-world.ts';
import { makeKeys, people, writeConfiguration, type Person } from './people.ts';

/** As fast as it goes while looks, which come by the wall clock, still see what happens in between. */
const speedDefault = 200;
const nodesAtOnceDefault = 2;
const lookPauseMs = 100;
/** Whoever follows a run waits for what stays; many are followed at a time, and each look costs the server and a worker some work. */
const followPauseMs = 300;
/** A worker that was killed answers no question; somebody else does, a moment later. */
const lookLimitMs = 3_000;
/** Less than the limits of the tests: whoever hears of a run that gets no further must hear what keeps it. */
const followLimitMs = 360_000;

/** What scenarios share: people with keys, a Temporal server, and one endpoint for the EKS of every world. */
export interface Environment {
  /** Unique on the server. */
  name: string;
  address: string;
  /** For files of the test; it goes with the environment. */
  directory: string;
  /** Path of holdpoint.yaml. */
  configuration: string;
  keys: Record<Person, Signer>;
  client: Client;
  /** Where workers reach the EKS of all worlds. */
  awsEndpoint: string;
  /** Builds a world for a run of a shipped runbook, which is carried out by the workers of a task queue. */
  raise(runbook: string, options: ScenarioOptions): Promise<Scenario>;
  stop(): Promise<void>;
}

/** What a scenario can be raised with. */
export interface ScenarioOptions {
  taskQueue: string;
  /** How many times as fast as the wall clock its cluster lives. */
  speed?: number;
  nodesAtOnce?: number;
  /** Another runbook than the shipped one of that name, and what it is started with in that world. */
  instead?: { document: RunbookDocument; inputs: (world: WorldSeed) => JsonObject };
}

/** Sets a environment on a Temporal server. */
export async function startEnvironment(title: string, address: string): Promise<Environment> {
  const name = `${title}-${process.pid}-${Date.now()}`;
  const directory = await mkdtemp(join(tmpdir(), `holdpoint-${title}-`));
  const keys = await makeKeys(join(directory, 'keys'));
  const configuration = await writeConfiguration(directory, keys);
  const client = await connectTemporal({ address, namespace: 'default', taskQueue: 'none' });
  await registerSearchAttributes(client.connection, 'default', Object.values(searchAttributes));
  const clouds = new Map<string, CloudOfWorld>();
  const front = await serveClouds(clouds);
  const scenarios = new Set<Scenario>();
  let scenariosRaised = 0;
  const environment: Environment = {
    name,
    directory,
    address,
    configuration,
    keys,
    client,
    awsEndpoint: `http://127.0.0.1:${(front.address() as AddressInfo).port}`,
    raise: async (runbook, { taskQueue, speed = speedDefault, nodesAtOnce = nodesAtOnceDefault, instead }) => {
      scenariosRaised += 1;
      const cluster = `${name}-${scenariosRaised}`;
      const seed = worldNamed(cluster, runbook);
      const inputs = instead ? instead.inputs(seed) : inputsFor(runbook, seed, nodesAtOnce);
      const document = instead?.document ?? readRunbook(runbook);
      let cloudWrites = 0;
      const cloud = (world: Parameters<typeof createCloud>[0]): RequestListener => {
        const { handle, ...cloud } = createCloud(world);
        const counting: RequestListener = (request, response) => {
          if (request.method !== 'GET') cloudWrites += 1;
          handle(request, response);
        };
        clouds.set(cluster, { ...cloud, handle: counting });
        return handle;
      };
      const sandbox = await startSandbox({ seed, speed, randomSeed: 7, cloud });
      attend(runbook, sandbox.world.cluster(cluster)!);
      const databaseWrites = (): number => sandbox.world.databases.reduce((sum, { changesAccepted }) => sum + changesAccepted, 0);
      const groupWrites = (): number => {
        return (clouds.get(cluster)?.selfManagedGroups ?? []).reduce((sum, { changesAccepted }) => sum + changesAccepted, 0);
      };
      const writes = (): number => cloudWrites + databaseWrites() + groupWrites() + kubernetesWrites(sandbox);
      const scenario = new Scenario(environment, { runbook, document, cluster, inputs, sandbox, taskQueue, writes });
      scenarios.add(scenario);
      return scenario;
    },
    stop: async () => {
      await Promise.all([...scenarios].map((scenario) => scenario.stop()));
      front.closeAllConnections();
      front.close();
      await client.connection.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return environment;
}

function kubernetesWrites({ world }: Sandbox): number {
  const { requests } = world.observer.summary().counters;
  const writes = Object.entries(requests).filter(([request]) => !/^(GET|LIST|WATCH) /.test(request));
  return writes.reduce((sum, [, count]) => sum + count, 0);
}

/** A step of a runbook as its plan shows it. */
export interface PlannedStep {
  id: string;
  uses: string;
  /** Whether it changes the world: an add-on, for one, is changed by one of the steps in which it may have its turn. */
  changes: boolean;
}

type ScenarioParts = Pick<Scenario, 'runbook' | 'cluster' | 'sandbox' | 'writes'> & {
  /** The shipped one of that name where left out. */
  document?: RunbookDocument;
  inputs: JsonObject;
  taskQueue: string;
};

/** One run of a shipped runbook in a world of its own. dana starts and operates it, ada and grace sign. */
export class Scenario {
  readonly runbook: string;
  readonly cluster: string;
  readonly target: string;
  readonly sandbox: Sandbox;
  readonly eks: EKSClient;
  readonly holdpoint: Holdpoint;
  /** How many requests have asked for a change of the world so far, of EKS or of Kubernetes. */
  readonly writes: () => number;
  private readonly environment: Environment;
  private readonly inputs: JsonObject;
  private readonly document: RunbookDocument;
  private forecast: Forecast | undefined;
  private lastProblem: unknown;

  constructor(environment: Environment, { runbook, document, cluster, inputs, sandbox, taskQueue, writes }: ScenarioParts) {
    this.writes = writes;
    this.environment = environment;
    this.runbook = runbook;
    this.cluster = cluster;
    this.inputs = inputs;
    this.sandbox = sandbox;
    this.target = `${targetKindOf(runbook)}/${demoRegion}/${cluster}`;
    this.document = document ?? readRunbook(runbook);
    this.holdpoint = new Holdpoint(environment.client, { address: environment.address, namespace: 'default', taskQueue });
    const credentials = { accessKeyId: 'looks', secretAccessKey: 'on' };
    this.eks = new EKSClient({ region: demoRegion, endpoint: sandbox.url, credentials });
  }

  /** What the runbook would do now. */
  plan(): Promise<Forecast> {
    return this.holdpoint.plan(this.document, this.inputs);
  }

  /** The actions that a plan shows, in their order. */
  async steps(): Promise<PlannedStep[]> {
    const { spans } = (this.forecast ??= await this.plan());
    return spans.flatMap(({ plan }) =>
      plan.steps.map(({ id, uses, plan: { effects } }) => {
        return { id, uses, changes: effects.length > 0 && (findAction(uses)?.change ?? 'reads') !== 'reads' };
      }),
    );
  }

  /** The ids of the holds that a plan shows. */
  async holds(): Promise<string[]> {
    const { spans } = (this.forecast ??= await this.plan());
    return spans.flatMap(({ hold }) => hold?.id ?? []);
  }

  /** Plans the runbook and starts a run of it. */
  async begin(): Promise<void> {
    this.forecast = await this.plan();
    const begun = await this.holdpoint.start(this.document, this.forecast, this.environment.keys.dana).catch((error: unknown) => {
      // The run has begun, and its worker is busy: whoever follows it waits for that.
      if (error instanceof HoldpointError && error.code === 'run-silent') return undefined;
      throw error;
    });
    if (!begun) return;
    const { admission } = begun;
    if (!admission.admitted) throw new Error(`the run of ${this.runbook} was refused: ${admission.reason}`);
  }

  /**
   * Signs whatever is put up for signature until the run is in one of the phases, or over; `atHold` comes before the first signature
   * of each request.
   * Throws where that takes too long, or where the run is stuck without being expected to be.
   */
  async follow({ until = [], atHold }: { until?: Phase[]; atHold?: (hold: string) => Promise<void> } = {}): Promise<RunState> {
    const giveUpAtMs = performance.now() + followLimitMs;
    const seen = new Set<string>();
    let last: RunState | undefined;
    while (performance.now() < giveUpAtMs) {
      last = await this.look();
      if (last && (until.includes(last.phase) || endPhases.includes(last.phase))) return last;
      // A run that takes no word any more is about to end.
      if (last?.phase === 'stuck' && last.commands.length > 0) break;
      const open = last && openHoldOf(last);
      if (last && open) {
        const { hold, number } = open.request;
        const name = `${hold} ${number}`;
        if (!seen.has(name)) await atHold?.(hold);
        seen.add(name);
        await this.sign(last, open);
      }
      await wait(followPauseMs);
    }
    throw await this.lost(last);
  }

  /** Signs whatever is put up for signature until the run, with what its activity says right now, is as wanted. */
  async until(isWanted: (live: LiveRun) => boolean): Promise<LiveRun> {
    const giveUpAtMs = performance.now() + followLimitMs;
    let last: LiveRun | undefined;
    while (performance.now() < giveUpAtMs) {
      last = await this.live().catch(() => undefined);
      if (last && isWanted(last)) return last;
      const open = last && openHoldOf(last.state);
      if (last && open) await this.sign(last.state, open);
      await wait(lookPauseMs);
    }
    throw await this.lost(last?.state);
  }

  /** What is known of a run that is not where it should be, from the server as well: the worker may be what is wrong. */
  private async lost(last: RunState | undefined): Promise<Error> {
    const { raw } = await this.environment.client.workflow.getHandle(this.target).describe();
    const activities = (raw.pendingActivities ?? []).map(({ activityType, attempt, state, lastFailure }) => {
      return { activity: activityType?.name, attempt, state, lastFailure: lastFailure?.message };
    });
    const { attempt, state } = raw.pendingWorkflowTask ?? {};
    const pending = JSON.stringify({ activities, workflowTask: { attempt, state } }, null, 1);
    return new Error(`the run of ${this.runbook} got no further: ${inShort(last)}, ${pending}`, { cause: this.lastProblem });
  }

  /** How the run stands, with what its activity says right now. */
  live(): Promise<LiveRun> {
    return this.environment.client.withDeadline(Date.now() + lookLimitMs, () => this.holdpoint.live(this.target));
  }

  /** How the run stands; undefined where nobody answers in time, since worker or server is away. */
  async look(): Promise<RunState | undefined> {
    try {
      const state = await this.environment.client.withDeadline(Date.now() + lookLimitMs, () => this.holdpoint.state(this.target));
      this.lastProblem = undefined;
      return state;
    } catch (error) {
      this.lastProblem = error;
      return undefined;
    }
  }

  /** Gives the run an operator's word. Throws RefusedError. */
  async operate(command: CommandName): Promise<void> {
    await this.holdpoint.operate(this.target, command, 'the test wants it', this.environment.keys.dana);
  }

  private async sign(state: RunState, { request, decisions }: HoldState): Promise<void> {
    const signer = (['ada', 'grace'] as const).find((person) => !decisions.some((decision) => decision.person === person));
    if (!signer) return;
    try {
      const { keys, client } = this.environment;
      await client.withDeadline(Date.now() + lookLimitMs, () =>
        this.holdpoint.decide(state, request, 'approve', 'looks right', keys[signer]),
      );
    } catch (error) {
      // The hold may have been closed since, or the worker or the server be away: the next look tells.
      this.lastProblem = error;
    }
  }

  /** What there is in the world once it has come to rest. */
  world(): Promise<WorldView> {
    return lookAtRest(this);
  }

  /** What is not as it was before, once the world has come to rest. */
  async differencesSince(before: WorldView): Promise<Difference[]> {
    return differencesOf(before, await this.world());
  }

  /** What must never be, whatever happens to a run: violations (double effects are among them), and a record that does not verify. */
  async troubles(state: RunState): Promise<string[]> {
    const { violations } = this.sandbox.world.observer.summary();
    const { ok, ending, problems } = await this.evidence(state);
    return [
      ...violations.map(({ kind, sentence }) => `${kind}: ${sentence}`),
      ...(ok && ending === 'ended' ? [] : [`the record does not verify: ${JSON.stringify({ ending, problems })}`]),
    ];
  }

  /** What the run has left behind, but for the node groups that the plan has said it makes. */
  async leftovers(): Promise<string[]> {
    await this.world();
    const effects = (this.forecast?.spans ?? []).flatMap(({ plan }) => plan.steps.flatMap((step) => step.plan.effects));
    const made = effects.map(({ object }) => object.split('/')).filter(([kind]) => kind === 'Nodegroup');
    const isMade = (object: string): boolean => made.some(([, cluster, name]) => object === `${cluster}: node group ${name}`);
    const { leftovers } = this.sandbox.world.leftovers();
    return leftovers.filter(({ object }) => !isMade(object)).map(({ object, sentence }) => `${object}: ${sentence}`);
  }

  evidence({ evidence }: RunState): Promise<EvidenceReport> {
    const { keys } = this.environment;
    return verifyEvidence(evidence, Object.fromEntries(people.map((person) => [person, { key: keys[person].publicKey }])));
  }

  async stop(): Promise<void> {
    this.eks.destroy();
    await this.sandbox.stop();
  }
}

/** Differences in lines of text, for a comparison with none. */
export function told(differences: readonly Difference[]): string[] {
  return differences.map(inWords);
}

/** The hold that waits for signatures; one that has them all is shown until the second look is over, and is not open any more. */
function openHoldOf({ hold }: RunState): HoldState | undefined {
  return hold && !hold.request.closed && standingOf(hold.request, hold.decisions, Date.now()).state === 'waiting' ? hold : undefined;
}

function inShort(state: RunState | undefined): string {
  if (!state) return 'nobody answers';
  const steps = state.steps.map(({ id, status, summary }) => `${id} ${status}${summary === undefined ? '' : ` (${summary})`}`);
  return `it is ${state.phase}, ${JSON.stringify({ stuck: state.stuck, notice: state.notice, steps }, null, 1)}`;
}
