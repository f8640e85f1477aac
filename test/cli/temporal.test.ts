import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import proto from '@temporalio/proto';
import { programCommand } from '../../cli/program-files.ts';
import { prepareNamespace } from '../../cli/namespace.ts';
import { connectTemporal } from '../../client/connection.ts';
import { createAuthority, type Authority, type Identity } from '../support/certificates.ts';
import { startTemporalProxy, type TemporalProxy } from '../support/temporal-proxy.ts';
import { createLiveEnvironment, type LiveEnvironment } from './environment.ts';

const apiKey = 'hush-0123456789';
const nodegroup = ['-i', 'region=eu-central-1', '-i', 'cluster=demo', '-i', 'nodegroup=blue', '-i', 'version=1.33'];

let environment: LiveEnvironment;
let upstream: string;
let namespace: string;
let authority: Authority;
let server: Identity;
const proxies: TemporalProxy[] = [];

beforeAll(async () => {
  environment = await createLiveEnvironment('tls');
  ({ TEMPORAL_ADDRESS: upstream = '', TEMPORAL_NAMESPACE: namespace = '' } = environment.env);
  authority = await createAuthority('Example CA');
  server = await authority.issue({ name: 'temporal', hosts: ['127.0.0.1'] });
});

afterAll(async () => {
  await environment.stop();
  for (const proxy of proxies) await proxy.stop();
});

async function start(options: Parameters<typeof startTemporalProxy>[2]): Promise<TemporalProxy> {
  const proxy = await startTemporalProxy(upstream, server, options);
  proxies.push(proxy);
  return proxy;
}

async function file(name: string, text: string): Promise<string> {
  const path = join(environment.directory, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
  return path;
}

/** From now on the environment says nothing of Temporal but this. */
function setTemporal(settings: Record<string, string>): void {
  for (const name of Object.keys(environment.env)) if (name.startsWith('TEMPORAL_')) delete environment.env[name];
  Object.assign(environment.env, settings);
}

function pathOf(method: string): string {
  return `/temporal.api.workflowservice.v1.WorkflowService/${method}`;
}

/** Every history of the namespace, as the server has it. */
async function allHistories(): Promise<string> {
  const client = await connectTemporal({ address: upstream, namespace, taskQueue: 'none' });
  const histories: string[] = [];
  for await (const { workflowId } of client.workflow.list()) {
    const history = await client.workflow.getHandle(workflowId).fetchHistory();
    histories.push(Buffer.from(proto.temporal.api.history.v1.History.encode(history).finish()).toString('latin1'));
  }
  await client.connection.close();
  return histories.join('\n');
}

/** A program as somebody starts it. */
async function run(...words: string[]): Promise<{ stdout: string; stderr: string }> {
  const { command, args } = programCommand('cli/main');
  const { env } = environment;
  return promisify(execFile)(command, [...args, ...words], { env }).catch((error: unknown) => error as { stdout: string; stderr: string });
}

test('worker and command line work through TLS with certificates of their own, by a profile', async () => {
  const proxy = await start({ clientAuthority: authority.cert });
  const profileOf = async (name: string): Promise<string> => {
    const { cert, key } = await authority.issue({ name });
    const [certificate, secret] = [await file(`${name}.pem`, cert), await file(`${name}.key`, key)];
    const tls = [`client_cert_path = "${certificate}"`, `client_key_path = "${secret}"`, `server_ca_cert_data = """${authority.cert}"""`];
    return [`[profile.${name}]`, `address = "${proxy.address}"`, `namespace = "${namespace}"`, `[profile.${name}.tls]`, ...tls].join('\n');
  };
  const profiles = `${await profileOf('worker')}\n${await profileOf('dana')}\n`;
  const TEMPORAL_CONFIG_FILE = await file('profiles/temporal.toml', profiles);
  setTemporal({ TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE: 'worker' });
  await environment.startWorkerProcess({});
  environment.env.TEMPORAL_PROFILE = 'dana';
  // A plan is made by an activity of the worker.
  const planned = await run('plan', 'node-group-update', ...nodegroup);
  expect(planned).toMatchObject({ stdout: expect.stringContaining('Start it with: holdpoint start node-group-update'), stderr: '' });
  const listed = await run('runs', '--all', '--json');
  expect(listed).toMatchObject({ stdout: expect.stringMatching(/^\{.*\}\n$/), stderr: '' });
  const callsOf = (name: string): string[] => proxy.calls.filter(({ client }) => client === name).map(({ path }) => path);
  expect(callsOf('worker')).toEqual(expect.arrayContaining([pathOf('PollWorkflowTaskQueue'), pathOf('RespondActivityTaskCompleted')]));
  expect(callsOf('dana')).toEqual(expect.arrayContaining([pathOf('StartWorkflowExecution'), pathOf('ListWorkflowExecutions')]));
});

test('worker and command line work with an API key, and it is in no answer', async () => {
  const refused: string[] = [];
  const { address, calls } = await start({
    admit: ({ authorization, ':path': path }) => {
      if (authorization === `Bearer ${apiKey}`) return undefined;
      refused.push(String(path));
      return { status: 16, message: 'Request unauthorized.' };
    },
  });
  const ca = await file('ca.pem', authority.cert);
  setTemporal({ TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace, TEMPORAL_TLS_SERVER_CA_CERT_PATH: ca, TEMPORAL_API_KEY: apiKey });
  await environment.startWorkerProcess({});
  const planned = await run('plan', 'node-group-update', ...nodegroup, '--json');
  expect(planned.stderr).toBe('');
  expect(planned.stdout).not.toContain('hush');
  expect(calls.map(({ path }) => path)).toEqual(
    expect.arrayContaining([pathOf('PollActivityTaskQueue'), pathOf('StartWorkflowExecution')]),
  );
  expect(refused).toEqual([]);
  const histories = await allHistories();
  expect(histories).toContain('node-group-update');
  expect(histories).not.toContain('hush');
});

test('a worker that is refused says which setting to look at, in a line and without the key', async () => {
  const { address } = await start({ admit: () => ({ status: 16, message: 'Request unauthorized.' }) });
  const ca = await file('ca.pem', authority.cert);
  setTemporal({ TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace, TEMPORAL_TLS_SERVER_CA_CERT_PATH: ca, TEMPORAL_API_KEY: apiKey });
  const said = `Temporal at ${address} refuses the API key (TEMPORAL_API_KEY) in the namespace ${namespace}: Request unauthorized.`;
  const remedy = 'Check that the key has not expired, that its owner may use the namespace, and the names of address and namespace.';
  await expect(environment.startWorkerProcess({})).rejects.toThrow(`Its last lines:\nholdpoint worker: ${said} ${remedy}`);
  expect(await run('worker')).toMatchObject({ stdout: '', stderr: `error: ${said}\n  ${remedy}\n` });
  const { error } = JSON.parse((await run('runs', '--json')).stdout) as { error: unknown };
  expect(error).toEqual({ code: 'temporal-denied', message: said, remedy });
});

test('where nobody may manage search attributes, as on Temporal Cloud, they only have to be there', async () => {
  const { address, calls } = await start({
    admit: ({ ':path': path }) => (String(path).includes('OperatorService') ? { status: 7, message: 'unauthorized' } : undefined),
  });
  const env = { TEMPORAL_ADDRESS: address, TEMPORAL_TLS_SERVER_CA_CERT_DATA: authority.cert };
  await prepareNamespace({ ...env, TEMPORAL_NAMESPACE: namespace });
  expect(calls.map(({ path }) => path)).toContain(pathOf('CountWorkflowExecutions'));
  await expect(prepareNamespace({ ...env, TEMPORAL_NAMESPACE: 'temporal-system' })).rejects.toThrow(
    /^Namespace temporal-system does not take the search attributes .*, and we may not add them: .* Have them added with the type Keyword;/,
  );
});
