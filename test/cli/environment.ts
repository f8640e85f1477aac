import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { msToTs } from '@temporalio/common/lib/time.js';
import type { WorkflowBundle } from '@temporalio/worker';
import { programCommand } from '../../cli/program-files.ts';
import { runCli } from '../../cli/program.ts';
import { connectTemporal as connectClient } from '../../client/connection.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import { createKey } from '../../client/keys.ts';
import { startProcess } from '../../lab/process.ts';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { createCloud } from '../../sandbox/cloud.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { demoWorld } from '../../sandbox/worlds/demo.ts';
import { createWorker } from '../../worker/worker.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { quietTemporal } from '../support/quiet-temporal.ts';
import { workflowBundle } from '../support/shared.ts';
import { connectTemporal, temporalAddress } from '../support/temporal.ts';

const sandboxSpeed = 200;
const worldSeed = 7;
const retentionMs = 24 * 60 * 60 * 1_000;

/** dana starts runs, two of dana, ada and grace must sign (never the requester); oscar is known, but in no group. */
const people = { dana: 'Dana Requester', ada: 'Ada Approver', grace: 'Grace Approver', oscar: 'Oscar Other' };

/** What a command has written, in the order in which it was written, and how it ended. */
export interface Outcome {
  code: number;
  lines: { stream: 'stdout' | 'stderr'; text: string }[];
  stdout: string;
}

/** How the worker reaches AWS; the sandbox with some credentials where nothing is said. */
export interface AwsAccess {
  endpoint?: string;
  credentials?: boolean;
}

/** A machine with keys and a configuration, on which `holdpoint` can be called. */
export class Environment {
  readonly directory: string;
  readonly env: Record<string, string>;
  protected readonly ends: (() => Promise<unknown>)[] = [];

  constructor(directory: string) {
    this.directory = directory;
    this.env = { HOLDPOINT_KEYS: join(directory, 'keys'), HOLDPOINT_CONFIG: join(directory, 'holdpoint.yaml'), HOME: directory };
    this.ends.push(() => rm(directory, { recursive: true, force: true }));
  }

  /** Calls `holdpoint` in this process, with nobody at the keyboard, or with somebody who has typed that. */
  async call(
    argv: readonly string[],
    { columns, tty = false, typed }: { columns?: number; tty?: boolean; typed?: string } = {},
  ): Promise<Outcome> {
    const lines: Outcome['lines'] = [];
    const stdout = capture((text) => lines.push({ stream: 'stdout', text }));
    const stderr = capture((text) => lines.push({ stream: 'stderr', text }));
    const code = await runCli(argv, {
      stdin: Object.assign(Readable.from(typed === undefined ? [] : [typed]), { isTTY: typed !== undefined }),
      stdout: Object.assign(stdout, { isTTY: tty, columns }),
      stderr,
      env: this.env,
      now: () => new Date(),
      signal: new AbortController().signal,
    });
    const written = lines.filter(({ stream }) => stream === 'stdout').map(({ text }) => text);
    return { code, lines, stdout: written.join('') };
  }

  /** Ends everything, the last thing first. */
  async stop(): Promise<void> {
    for (const end of this.ends.splice(0).reverse()) await end();
  }
}

/** A environment with a Temporal namespace of its own, a sandboxed AWS and a worker. */
export class LiveEnvironment extends Environment {
  readonly sandbox: Sandbox;
  private readonly bundle: WorkflowBundle;
  private stopCurrentWorker: () => Promise<void> = async () => undefined;
  private workers = 0;

  constructor(directory: string, parts: { sandbox: Sandbox; bundle: WorkflowBundle; address: string; namespace: string }) {
    super(directory);
    this.sandbox = parts.sandbox;
    this.bundle = parts.bundle;
    Object.assign(this.env, { TEMPORAL_ADDRESS: parts.address, TEMPORAL_NAMESPACE: parts.namespace, HOLDPOINT_TASK_QUEUE: 'nobody' });
    this.ends.push(
      () => this.sandbox.stop(),
      () => this.stopWorker(),
    );
  }

  /** Works with the environment's runs as a client, past the command line. */
  async withHoldpoint<Result>(work: (holdpoint: Holdpoint) => Promise<Result>): Promise<Result> {
    const settings = this.settings();
    const client = await connectClient(settings);
    try {
      return await work(new Holdpoint(client, settings));
    } finally {
      await client.connection.close();
    }
  }

  /** Ends the workflow of a target as somebody does who goes past Holdpoint. */
  async terminate(target: string): Promise<void> {
    const client = await connectClient(this.settings());
    try {
      await client.workflow.getHandle(target).terminate('by hand');
    } finally {
      await client.connection.close();
    }
  }

  /** A worker in this process that reaches the sandbox. */
  async startWorker(): Promise<void> {
    await this.stopWorker();
    Object.assign(process.env, awsEnvironment({ endpoint: this.sandbox.url }));
    const settings = { ...this.settings('in-process'), configurationFile: this.env.HOLDPOINT_CONFIG ?? '', logLevel: 'error' as const };
    const worker = await createWorker(settings, this.bundle);
    const running = worker.run().catch(() => undefined);
    this.stopCurrentWorker = async () => {
      worker.shutdown();
      await running;
    };
  }

  /** Replaces the worker by a real one, which reaches AWS in another way. */
  async startWorkerProcess(aws: AwsAccess): Promise<void> {
    await this.stopWorker();
    const { taskQueue } = this.settings('process');
    const { command, args } = programCommand('worker/main');
    const env = { ...this.env, HOLDPOINT_TASK_QUEUE: taskQueue, ...awsEnvironment({ endpoint: this.sandbox.url, ...aws }) };
    const worker = await startProcess({ name: 'The worker', command, args, env, ready: /"listening":true/ });
    this.stopCurrentWorker = () => worker.stop();
  }

  /** Afterwards nobody listens on the task queue that commands use. */
  async stopWorker(): Promise<void> {
    this.env.HOLDPOINT_TASK_QUEUE = 'nobody';
    await this.stopCurrentWorker();
    this.stopCurrentWorker = async () => undefined;
  }

  /** Changes a PodDisruptionBudget (`shop/cart`) behind Holdpoint's back. */
  async setMaxUnavailable(budget: string, maxUnavailable: number): Promise<void> {
    const [namespace, name] = budget.split('/');
    const url = `${this.sandbox.url}/kubernetes/demo/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets/${name}`;
    const headers = { 'content-type': 'application/merge-patch+json' };
    const response = await fetch(url, { method: 'PATCH', headers, body: JSON.stringify({ spec: { maxUnavailable } }) });
    if (!response.ok) throw new Error(`the budget ${budget} cannot be changed: ${await response.text()}`);
  }

  /** The settings of clients; with a kind of worker, from now on those of a new worker, on a queue of its own. */
  private settings(worker?: string): { address: string; namespace: string; taskQueue: string } {
    if (worker !== undefined) {
      this.workers += 1;
      this.env.HOLDPOINT_TASK_QUEUE = `${worker}-${this.workers}`;
    }
    const { TEMPORAL_ADDRESS: address = '', TEMPORAL_NAMESPACE: namespace = '', HOLDPOINT_TASK_QUEUE: taskQueue = '' } = this.env;
    return { address, namespace, taskQueue };
  }
}

/** Keys and a configuration, and no server. */
export async function createEnvironment(): Promise<Environment> {
  return new Environment(await furnishedDirectory());
}

/** Keys, a configuration, a sandbox, a namespace that no other test uses, and a worker. */
export async function createLiveEnvironment(name: string): Promise<LiveEnvironment> {
  const namespace = `cli-${name}-${process.pid}-${Date.now()}`;
  const [address, workflowBundle, sandbox] = await Promise.all([
    temporalAddress(),
    bundled(),
    startSandbox({ seed: demoWorld, cloud: (world) => createCloud(world).handle, randomSeed: worldSeed, speed: sandboxSpeed }),
    createNamespace(namespace),
  ]);
  const environment = new LiveEnvironment(await furnishedDirectory(), { sandbox, bundle: workflowBundle, address, namespace });
  await environment.startWorker();
  return environment;
}

let bundle: Promise<WorkflowBundle> | undefined;

function bundled(): Promise<WorkflowBundle> {
  if (bundle === undefined) {
    quietTemporal();
    bundle = workflowBundle();
  }
  return bundle;
}

async function createNamespace(namespace: string): Promise<void> {
  const connection = await connectTemporal();
  try {
    const workflowExecutionRetentionPeriod = msToTs(retentionMs);
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
    await registerSearchAttributes(connection, namespace, Object.values(searchAttributes));
  } finally {
    await connection.close();
  }
}

async function furnishedDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-environment-'));
  const keys: string[] = [];
  for (const [person, name] of Object.entries(people)) {
    keys.push(`  ${person}: { name: ${name}, key: ${await createKey(person, join(directory, 'keys'))} }`);
  }
  const configuration = [
    'apiVersion: holdpoint.dev/v1',
    'kind: Configuration',
    'people:',
    ...keys,
    'groups:',
    '  sre: [dana, ada, grace]',
    'policies:',
    '  production-change: { atLeast: 2, of: sre, exclude: [requester], expires: 4h }',
    '  data-restore: { atLeast: 2, of: sre, exclude: [requester] }',
    '',
  ];
  await writeFile(join(directory, 'holdpoint.yaml'), configuration.join('\n'));
  return directory;
}

/** What the AWS SDK reads: nothing of the machine that the tests run on. */
function awsEnvironment({ endpoint = '', credentials = true }: AwsAccess): Record<string, string> {
  const none = join(tmpdir(), 'holdpoint-environment-has-no-such-file');
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: none,
    AWS_SHARED_CREDENTIALS_FILE: none,
    ...(credentials ? { AWS_ACCESS_KEY_ID: 'sandbox', AWS_SECRET_ACCESS_KEY: 'sandbox' } : {}),
  };
}

function capture(take: (text: string) => void): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      take(chunk.toString('utf8'));
      done();
    },
  });
}
