import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { identityOf } from '../../lab/instances.ts';
import { cacheFolder } from '../../lab/temporal-binary.ts';
import { programCommand } from '../../cli/program-files.ts';
import { readKubeconfig } from '../../lab/kubernetes-access.ts';
import { nodeNames, until } from './world.ts';

/** The labs of these tests have a list of their own; the programs are those of everybody. */
let folder: string;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdpoint-labs-'));
  await symlink(join(cacheFolder(process.env), 'bin'), join(folder, 'bin'));
  env = { ...process.env, HOLDPOINT_CACHE: folder };
});

afterEach(async () => {
  await holdpoint(['lab', 'down', '--all']);
  await rm(folder, { recursive: true, force: true });
});

interface Outcome {
  code: number;
  result: Record<string, unknown>;
}

/** Runs one command line as a person's shell would, and reads its JSON. */
async function holdpoint(args: string[]): Promise<Outcome> {
  const { command, args: before } = programCommand('cli/main');
  const child = spawn(command, [...before, ...args, '--json'], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const [code] = (await once(child, 'close')) as [number];
  return { code, result: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
}

interface Lab {
  name: string;
  kubeconfig: string;
  keeper: number;
  processes: { name: string; pid: number }[];
  serves?: boolean;
}

async function up(...args: string[]): Promise<Lab> {
  const { code, result } = await holdpoint(['lab', 'up', 'kubernetes', '--detach', ...args]);
  expect([code, result]).toEqual([0, expect.objectContaining({ kubeconfig: expect.any(String) })]);
  return result as unknown as Lab;
}

async function list(): Promise<Lab[]> {
  return (await holdpoint(['lab', 'list'])).result.labs as Lab[];
}

async function running(lab: Lab): Promise<string[]> {
  const found = await Promise.all(lab.processes.map(async ({ name, pid }) => ((await identityOf(pid)) ? name : undefined)));
  return found.filter((name) => name !== undefined).sort();
}

const programs = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kwok'];

async function doorOf({ kubeconfig }: Lab) {
  const { server: url, certificateAuthority, token } = await readKubeconfig(kubeconfig);
  return { url, certificateAuthority, token };
}

describe('holdpoint lab', () => {
  test('two labs run side by side, each with nodes of its own, until each is told to stop', async () => {
    const [first, second] = await Promise.all([up('--nodes', '2'), up('--name', 'second')]);
    expect([await running(first), await running(second)]).toEqual([programs, programs]);
    expect((await stat(first.kubeconfig)).mode & 0o777).toBe(0o600);
    expect(await nodeNames(await doorOf(first))).toEqual(['node-0', 'node-1']);
    expect(await nodeNames(await doorOf(second))).toEqual([]);
    expect((await holdpoint(['lab', 'down'])).code).toBe(2);
    expect(await holdpoint(['lab', 'down', 'second'])).toEqual({ code: 0, result: { stopped: ['second'] } });
    expect(await running(second)).toEqual([]);
    await expect(access(second.kubeconfig)).rejects.toThrow('ENOENT');
    expect((await list()).map(({ name, serves }) => [name, serves])).toEqual([['kubernetes', true]]);
    expect(await running(first)).toEqual(programs);
  });

  test('a keeper that is killed takes its programs with it, and down cleans up what it left', async () => {
    const lab = await up();
    process.kill(lab.keeper, 'SIGKILL');
    await until('the programs to end', async () => (await running(lab)).length === 0);
    expect((await list()).map(({ name, serves }) => [name, serves])).toEqual([['kubernetes', false]]);
    expect((await holdpoint(['lab', 'down'])).result).toEqual({ stopped: ['kubernetes'] });
    await expect(access(lab.kubeconfig)).rejects.toThrow('ENOENT');
    expect(await list()).toEqual([]);
  });

  test('a lab whose program dies ends as a whole, and its name is free again', async () => {
    const lab = await up();
    process.kill(lab.processes.find(({ name }) => name === 'etcd')?.pid ?? 0, 'SIGKILL');
    await until('the others to end', async () => (await running(lab)).length === 0);
    await until('the lab to be forgotten', async () => (await list()).length === 0);
  });

  test('a name that is taken is refused, and what runs under it is left alone', async () => {
    const lab = await up();
    const { code, result } = await holdpoint(['lab', 'up', 'kubernetes']);
    expect(code).toBe(2);
    expect(result.error).toMatchObject({ code: 'usage', message: expect.stringContaining('A lab called kubernetes runs already') });
    expect(await running(lab)).toEqual(programs);
  });
});
