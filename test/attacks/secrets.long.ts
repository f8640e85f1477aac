import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { programCommand } from '../../cli/program-files.ts';
import { connectTemporal } from '../../client/connection.ts';
import { createKey } from '../../client/keys.ts';
import type { RunState } from '../../domain/run/state.ts';
import { createLiveEnvironment, type LiveEnvironment } from '../cli/environment.ts';
import { startProxy, type Proxy, type ProxiedRequest, type Treatment } from '../support/proxy.ts';

const run = promisify(execFile);
const node = 'ip-10-0-0-4.eu-central-1.compute.internal';
/** An account without rights, as which another user of the machine looks at processes. */
const nobody = 65_534;
const waitLimitMs = 120_000;
const pauseMs = 200;
/** Of looks at processes, each of which starts one itself: the programs that are looked at live for longer. */
const lookPauseMs = 250;

/** What must be found nowhere. None has a shape that tells what it is, but for the identifier of AWS and the token of Slack. */
const secrets: Record<string, string> = {
  'id of the AWS key in the environment': 'AKIA2E0PZ8T4QKY7WM1D',
  'AWS key in the environment': 'kQ3/ybN+8vT1rWz5uXa7cFd9eGh2jLm4nPq6sRoB',
  'AWS session in the environment': 'FwoG/ZXIvYXdzEJr+aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abcdefghij/klmnop==',
  'AWS key of the profile': 'Zt7+mK2/wQ9xR4vB6nC8jH1gF3dS5aPoIuYtReWq',
  'AWS session of the profile': 'IQoJ/b3JpZ2luX2VjEPf+qWeRtYuIoPaSdFgHjKlZxCvBnM0987654321poiuytrewq/lkjh=',
  'token of the kubeconfig': 'opaque/token+of.the-kubeconfig_1f6a',
  'token of the plugin': 'opaque/token+of.the-plugin_9c2e',
  'API key of Temporal': 'opaque.api-key.of_temporal.55d1',
  'header of Temporal': 'opaque-header-of-temporal-7be0',
  'token of Slack': 'xoxb-204857193-3fKq9ZtW',
};
/** What each server was sent, so that it is known that there was something to find. */
const sent = new Set<string>();

let environment: LiveEnvironment;
let client: Client;
let kubernetes: Proxy;
let aws: Proxy;
let worker: ChildProcess | undefined;
let planted: string;
/** By the place where it was found. */
const written: Record<string, string> = {
  'stdout of a worker': '',
  'stderr of a worker': '',
  'stdout of the CLI': '',
  'stderr of the CLI': '',
};
const looks = { processes: new Set<string>(), ofOthers: new Set<string>(), over: false };
let looking: Promise<unknown> = Promise.resolve();

beforeAll(async () => {
  environment = await createLiveEnvironment('secrets');
  await environment.stopWorker();
  const { TEMPORAL_ADDRESS: address = '', TEMPORAL_NAMESPACE: namespace = '' } = environment.env;
  client = await connectTemporal({ address, namespace, taskQueue: 'secrets' });
  kubernetes = await startProxy(`${environment.sandbox.url}/kubernetes/demo`);
  aws = await startProxy(environment.sandbox.url);
  await plant();
  looking = Promise.all([lookAtProcesses(looks.processes, undefined), lookAtProcesses(looks.ofOthers, nobody)]);
});

afterAll(async () => {
  looks.over = true;
  await looking;
  await stopWorker();
  await kubernetes.stop();
  await aws.stop();
  await client.connection.close();
  await environment.stop();
});

/** Puts every secret where a user of it has it; what is found there later is not looked at. */
async function plant(): Promise<void> {
  const { directory, env } = environment;
  planted = join(directory, 'planted');
  await mkdir(planted, { mode: 0o700 });
  const plugin = join(planted, 'plugin.sh');
  const credential = {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token: secrets['token of the plugin'] },
  };
  await writeFile(join(planted, 'credential.json'), JSON.stringify(credential));
  await writeFile(
    plugin,
    `#!/bin/sh\n[ -e '${planted}/broken' ] && cat '${planted}/credential.json' >&2 && exit 1\ncat '${planted}/credential.json'\n`,
  );
  await chmod(plugin, 0o700);
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, interactiveMode: 'Never' };
  const config = {
    clusters: [{ name: 'demo', cluster: { server: kubernetes.url } }],
    users: [
      { name: 'static', user: { token: secrets['token of the kubeconfig'] } },
      { name: 'plugin', user: { exec } },
    ],
    contexts: ['static', 'plugin'].map((name) => ({ name, context: { cluster: 'demo', user: name } })),
    'current-context': 'static',
  };
  const kubeconfig = join(planted, 'kubeconfig');
  await writeFile(kubeconfig, JSON.stringify(config));
  await writeFile(
    join(planted, 'aws'),
    `[prod]\naws_access_key_id = AKIAPROFILE00000001\naws_secret_access_key = ${secrets['AWS key of the profile']}\n` +
      `aws_session_token = ${secrets['AWS session of the profile']}\n`,
  );
  const workerKey = await createKey('worker', planted);
  for (const [of, file] of [
    ['a worker', join(planted, 'worker.jwk')],
    ...['dana', 'ada', 'grace'].map((person) => [person, join(directory, 'keys', `${person}.jwk`)]),
  ]) {
    secrets[`private key of ${of}`] = (JSON.parse(await readFile(file ?? '', 'utf8')) as { d: string }).d;
  }
  const configuration = join(directory, 'holdpoint.yaml');
  await writeFile(
    configuration,
    `${await readFile(configuration, 'utf8')}workers: { one: { key: ${workerKey}, from: '2020-01-01T00:00:00Z' } }\n` +
      `anchor: { directory: anchors }\nclusters:\n` +
      ['static', 'plugin'].map((name) => `  ${name}: { kubeconfig: ${kubeconfig}, context: ${name} }\n`).join(''),
  );
  for (const name of ['tmp', 'cache', 'state']) await mkdir(join(directory, name), { mode: 0o700 });
  Object.assign(env, {
    HOLDPOINT_TASK_QUEUE: 'secrets',
    TMPDIR: join(directory, 'tmp'),
    XDG_CACHE_HOME: join(directory, 'cache'),
    XDG_STATE_HOME: join(directory, 'state'),
    PATH: process.env.PATH ?? '',
    KUBECONFIG: kubeconfig,
    TEMPORAL_API_KEY: secrets['API key of Temporal'],
    TEMPORAL_TLS: 'false',
    TEMPORAL_GRPC_META_X_OWN: secrets['header of Temporal'],
    SLACK_BOT_TOKEN: secrets['token of Slack'],
  });
}

const fromEnvironment = (): Record<string, string> => ({
  AWS_ACCESS_KEY_ID: secrets['id of the AWS key in the environment'] ?? '',
  AWS_SECRET_ACCESS_KEY: secrets['AWS key in the environment'] ?? '',
  AWS_SESSION_TOKEN: secrets['AWS session in the environment'] ?? '',
});
const fromProfile = (): Record<string, string> => ({ AWS_PROFILE: 'prod', AWS_SHARED_CREDENTIALS_FILE: join(planted, 'aws') });

/** A worker that says all that it can. */
async function startWorker(credentials: Record<string, string>): Promise<void> {
  await stopWorker();
  const { command, args } = programCommand('worker/main');
  const none = join(planted, 'no-such-file');
  const own = {
    HOLDPOINT_LOG_LEVEL: 'trace',
    HOLDPOINT_WORKER_KEY: join(planted, 'worker.jwk'),
    AWS_ENDPOINT_URL: aws.url,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: none,
    AWS_SHARED_CREDENTIALS_FILE: none,
  };
  const child = spawn(command, args, { env: { ...environment.env, ...own, ...credentials }, stdio: ['ignore', 'pipe', 'pipe'] });
  worker = child;
  child.stderr.on('data', (chunk: Buffer) => (written['stderr of a worker'] += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      written['stdout of a worker'] += chunk.toString();
      if (chunk.includes('"listening":true')) resolve();
    });
    child.once('close', () => reject(new Error(`the worker has ended: ${written['stderr of a worker']?.slice(-2_000)}`)));
  });
}

async function stopWorker(): Promise<void> {
  const child = worker;
  worker = undefined;
  if (!child || child.exitCode !== null) return;
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  await closed;
}

/** Calls the command line as a process of its own; returns what it has said. */
async function call(...argv: string[]): Promise<{ code: number; text: string }> {
  const { command, args } = programCommand('cli/main');
  const child = spawn(command, [...args, ...argv], { env: environment.env, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (chunk: Buffer) => {
      written[`${name} of the CLI`] += chunk.toString();
      text += chunk.toString();
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code: code ?? -1, text };
}

/** Looks at the command lines of all processes again and again; as another user also at what `ps` shows that user of environments. */
async function lookAtProcesses(seen: Set<string>, uid: number | undefined): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  const options = [uid === undefined ? 'axww' : 'axwwe', '-o', 'args'];
  while (!looks.over) {
    const { stdout } = await run('ps', options, { ...(isRoot && { uid }), maxBuffer: 64 * 1024 * 1024, cwd: '/' });
    // What this test itself was started with is somebody else's; without another user, environments are our own to see.
    if (uid === undefined || isRoot) for (const line of stdout.split('\n')) seen.add(line);
    await new Promise((resolve) => setTimeout(resolve, lookPauseMs));
  }
}

async function until(target: string, passes: (state: RunState) => boolean): Promise<RunState> {
  const giveUpAt = Date.now() + waitLimitMs;
  return environment.withHoldpoint(async (holdpoint) => {
    for (;;) {
      const state = await holdpoint.state(target);
      if (passes(state)) return state;
      if (Date.now() > giveUpAt) throw new Error(`waited in vain: ${JSON.stringify(state, null, 1)}`);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  });
}

/** Answers so many requests that fit with all that they came with; the others are passed on. */
function echoing(
  times: number,
  status: number,
  body: (said: string) => unknown,
  fits: (request: ProxiedRequest) => boolean,
): Proxy['treat'] {
  let left = times;
  return (request): Treatment => {
    const { authorization = '', 'x-amz-security-token': session = '' } = request.headers;
    for (const value of [authorization, session].flat()) if (value !== '') sent.add(value.replace(/^Bearer /, ''));
    if (left === 0 || !fits(request)) return 'pass';
    left -= 1;
    const said = [authorization, session].flat().filter((value) => value !== '');
    const inBase64 = said.map((value) => Buffer.from(value).toString('base64'));
    const others = [...inBase64, ...said.map(encodeURIComponent)].join(' and ');
    const text = `you came with Authorization: ${said.join(' and ')}; that is ${others}`;
    return {
      status,
      headers: { 'content-type': 'application/json', 'x-amzn-errortype': 'AccessDeniedException' },
      body: JSON.stringify(body(text)),
    };
  };
}

const refusal = (code: number) => (message: string) => ({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code });
const isFor = (method: string, part: string) => (request: ProxiedRequest) => request.method === method && request.path.includes(part);

/** All texts in a value, with what is in its bytes. */
function textsIn(value: unknown, found: string[] = []): string[] {
  if (typeof value === 'string') found.push(value);
  else if (value instanceof Uint8Array) found.push(Buffer.from(value).toString('utf8'), Buffer.from(value).toString('utf16le'));
  else if (Array.isArray(value)) for (const item of value) textsIn(item, found);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) textsIn(item, (found.push(name), found));
  }
  return found;
}

async function histories(): Promise<string> {
  const texts: string[] = [];
  for await (const { workflowId, runId } of client.workflow.list()) {
    const handle = client.workflow.getHandle(workflowId, runId);
    texts.push(...textsIn(await handle.fetchHistory()), ...textsIn((await handle.describe()).raw));
  }
  return texts.join('\n');
}

/** Every file of the machine of the test but those that secrets were put into, by its folder. */
async function files(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(environment.directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const folder = path.slice(environment.directory.length + 1).split('/')[0] ?? '';
    if (!entry.isFile() || folder === 'planted' || folder === 'keys') continue;
    found[folder] = `${found[folder] ?? ''}\n${path}\n${await readFile(path, 'latin1')}`;
  }
  return found;
}

/** A secret in the forms in which it can lie somewhere. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  // Between other bytes it has one of three forms, of which the ends depend on those; and so in base64 of base64.
  const inBase64 = (text: Buffer): string[] => {
    return [0, 1, 2].map((before) =>
      Buffer.concat([Buffer.alloc(before), text])
        .toString('base64')
        .slice(4, -4),
    );
  };
  const once = inBase64(bytes);
  const twice = inBase64(Buffer.from(bytes.toString('base64').replace(/=+$/, '')));
  const all = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), bytes.toString('hex'), ...once, ...twice];
  return [...new Set(all.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]))];
}

/** Where a secret stands, in whatever form. */
function placesOf(secret: string, places: Record<string, string>): string[] {
  const forms = formsOf(secret);
  return Object.keys(places).filter((place) => forms.some((form) => places[place]?.includes(form)));
}

describe('a run with every kind of credential in place', () => {
  test('goes through, and tells of each refusal', async () => {
    await startWorker(fromEnvironment());
    const target = 'kubernetes/static';
    const inputs = ['-i', `target=${target}`, '-i', `nodes=["${node}"]`];
    const start = ['start', 'node-maintenance', ...inputs, '--as', 'dana', '--yes'];
    // A token is refused, with it in the answer.
    kubernetes.treat = echoing(Infinity, 401, refusal(401), () => true);
    const refused = await call('plan', 'node-maintenance', ...inputs);
    expect(refused).toEqual({ code: 1, text: expect.stringMatching(/you came with Authorization: .*\(left out\)/) });
    expect((await call('drain', node, '--plan')).text).toMatch(/you came with Authorization: .*\(left out\)/);
    // A webhook denies evictions, with the header in its words.
    const denial = (text: string): object => refusal(403)(`admission webhook "echo.example.com" denied the request: ${text}`);
    kubernetes.treat = echoing(Infinity, 403, denial, isFor('POST', '/eviction'));
    expect(await call(...start)).toMatchObject({ code: 0 });
    const first = await until(target, ({ phase }) => phase === 'holding');
    const approve = (plan: string, person: string): string[] => ['approve', first.run, '--plan', plan, '--as', person];
    for (const person of ['ada', 'grace']) {
      expect(await call(...approve(first.hold?.request.planHash ?? '', person))).toMatchObject({ code: 0 });
    }
    let seen = '';
    for (let look = 0; look < 60 && !seen.includes('echo.example.com'); look += 1) seen = (await call('show', first.run)).text;
    expect(seen).toContain('you came with Authorization: Bearer (left out)');
    kubernetes.treat = () => 'pass';
    const second = await until(target, ({ hold }) => hold?.request.hold === 'work-done');
    // The node cannot be changed.
    kubernetes.treat = echoing(Infinity, 403, refusal(403), isFor('PATCH', '/nodes/'));
    for (const person of ['ada', 'grace']) {
      expect(await call(...approve(second.hold?.request.planHash ?? '', person))).toMatchObject({ code: 0 });
    }
    await until(target, ({ phase }) => phase === 'stuck');
    expect((await call('show', first.run)).text).toContain('you came with Authorization: Bearer (left out)');
    kubernetes.treat = () => 'pass';
    expect(await call('retry', first.run, '--as', 'ada')).toMatchObject({ code: 0 });
    const { evidence } = await until(target, ({ phase }) => phase === 'done');
    expect(await call('evidence', 'show', evidence)).toMatchObject({ code: 0 });
  }, 300_000);

  test('a credential plugin that fails tells nothing that it works with, and one that does not is refused like a token', async () => {
    const plan = ['plan', 'node-maintenance', '-i', 'target=kubernetes/plugin', '-i', `nodes=["${node}"]`];
    await writeFile(join(planted, 'broken'), '');
    expect(await call(...plan)).toEqual({ code: 1, text: expect.stringContaining('the credential plugin') });
    await rm(join(planted, 'broken'));
    kubernetes.treat = echoing(Infinity, 401, refusal(401), () => true);
    expect(await call(...plan)).toEqual({ code: 1, text: expect.stringContaining('(left out)') });
    kubernetes.treat = () => 'pass';
    expect(await call(...plan)).toMatchObject({ code: 0 });
  }, 120_000);

  test.each<[string, string[], () => Record<string, string>]>([
    ['the environment', ['AccessDeniedException', 'InvalidParameterException'], fromEnvironment],
    ['a profile', ['InvalidSignatureException'], fromProfile],
  ])(
    'AWS says what it was sent, with credentials of %s',
    async (_from, types, credentials) => {
      await startWorker(credentials());
      const names = ['region=eu-central-1', 'cluster=demo', 'nodegroup=blue', 'newNodegroup=green'];
      const plan = ['plan', 'node-group-rotation', ...names.flatMap((name) => ['-i', name])];
      for (const type of types) {
        aws.treat = echoing(Infinity, 403, (message) => ({ __type: type, message }), isFor('GET', '/clusters/'));
        expect(await call(...plan)).toEqual({ code: 1, text: expect.stringContaining('(left out)') });
      }
      aws.treat = echoing(0, 403, refusal(403), () => false);
      expect(await call(...plan)).toMatchObject({ code: 0 });
    },
    120_000,
  );

  test('leaves none of them anywhere', async () => {
    await stopWorker();
    looks.over = true;
    await looking;
    const places = {
      ...written,
      histories: await histories(),
      'command lines': [...looks.processes].join('\n'),
      'what ps shows to others': [...looks.ofOthers].join('\n'),
      ...Object.fromEntries(Object.entries(await files()).map(([folder, text]) => [`the folder ${folder}`, text])),
    };
    // What is no secret is found, in whatever form: there was something to look at.
    const found = placesOf(node, places);
    for (const place of ['stdout of the CLI', 'histories', 'command lines', 'what ps shows to others', 'the folder evidence'])
      expect(found).toContain(place);
    for (const place of ['the folder anchors', 'stderr of a worker']) expect(Object.keys(places)).toContain(place);
    for (const form of formsOf(node)) expect(placesOf(node, { here: `x${form}x` })).toEqual(['here']);
    // Each server was sent what it could give away.
    for (const name of ['token of the kubeconfig', 'token of the plugin', 'AWS session in the environment', 'AWS session of the profile']) {
      expect([name, sent.has(secrets[name] ?? '')]).toEqual([name, true]);
    }
    expect(Object.entries(secrets).flatMap(([name, secret]) => placesOf(secret, places).map((place) => `${name} in ${place}`))).toEqual([]);
  });
});
