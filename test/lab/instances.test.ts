import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  claimInstance,
  endInstance,
  identityOf,
  isLabName,
  isServing,
  LabTakenError,
  listInstances,
  readInstance,
  updateInstance,
  type LabInstance,
  type ProcessIdentity,
} from '../../lab/instances.ts';

let folder: string;
let env: NodeJS.ProcessEnv;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdpoint-instances-'));
  env = { HOLDPOINT_CACHE: folder };
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** A process of its own, as a keeper or a program of a lab is. */
async function sleeper(script = 'exec sleep 300'): Promise<{ child: ChildProcess; identity: ProcessIdentity }> {
  const child = spawn('sh', ['-c', script], { stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  const identity = await identityOf(child.pid ?? 0);
  if (!identity) throw new Error('a process that has just been started has no identity');
  return { child, identity };
}

async function instanceOf(keeper: ProcessIdentity, differences: Partial<LabInstance> = {}): Promise<LabInstance> {
  const directory = join(folder, 'private');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'token'), 'secret');
  const instance = { name: 'one', kind: 'kubernetes' as const, keeper, ready: true, processes: [], directory, ...differences };
  await mkdir(join(folder, 'lab'), { recursive: true });
  await updateInstance(instance, env);
  return instance;
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

describe('labs that run', () => {
  test('a name is taken once, by this process, in a file that nobody else may read', async () => {
    const claimed = await claimInstance('one', env);
    expect(claimed.keeper.pid).toBe(process.pid);
    expect((await stat(join(folder, 'lab', 'one.json'))).mode & 0o777).toBe(0o600);
    await expect(claimInstance('one', env)).rejects.toThrow(LabTakenError);
    await claimInstance('two', env);
    expect((await listInstances(env)).map(({ name, ready }) => [name, ready])).toEqual([
      ['one', false],
      ['two', false],
    ]);
    expect(await readdir(join(folder, 'lab'))).toEqual(['one.json', 'two.json']);
  });

  test('of many that want a name at once one gets it', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => claimInstance('one', env)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('ending a lab asks its keeper, which stops what it keeps', async () => {
    const keeper = await sleeper(`trap 'touch ${folder}/asked; exit 0' TERM; while :; do sleep 0.05; done`);
    const instance = await instanceOf(keeper.identity);
    expect(await isServing(instance)).toBe(true);
    await endInstance(instance, env);
    expect(await isThere(join(folder, 'asked'))).toBe(true);
    expect(await listInstances(env)).toEqual([]);
    expect(await isThere(join(folder, 'private'))).toBe(false);
  });

  test('what a keeper left that was killed is ended by pid, and its directory removed', async () => {
    const [keeper, program] = [await sleeper(), await sleeper()];
    const instance = await instanceOf(keeper.identity, { processes: [{ name: 'etcd', ...program.identity }] });
    keeper.child.kill('SIGKILL');
    await once(keeper.child, 'exit');
    expect(await isServing(instance)).toBe(false);
    await endInstance(instance, env);
    expect(await identityOf(program.identity.pid)).toBeUndefined();
    expect(await isThere(join(folder, 'private'))).toBe(false);
    expect(await readInstance('one', env)).toBeUndefined();
  });

  test('a name is free again after its keeper was killed', async () => {
    const [keeper, program] = [await sleeper(), await sleeper()];
    await instanceOf(keeper.identity, { processes: [{ name: 'etcd', ...program.identity }] });
    keeper.child.kill('SIGKILL');
    await once(keeper.child, 'exit');
    expect((await claimInstance('one', env)).keeper.pid).toBe(process.pid);
    expect(await identityOf(program.identity.pid)).toBeUndefined();
  });

  test('a process that only has the number of one of a lab is left alone', async () => {
    const bystander = await sleeper();
    const past = { pid: bystander.identity.pid, started: 'Thu Jan  1 00:00:00 1970' };
    const instance = await instanceOf(past, { processes: [{ name: 'etcd', ...past }] });
    expect(await isServing(instance)).toBe(false);
    await endInstance(instance, env);
    expect(await identityOf(bystander.identity.pid)).toEqual(bystander.identity);
  });

  test.each([
    ['second', true],
    ['lab-2', true],
    ['../x', false],
    ['', false],
    ['-a', false],
    ['a'.repeat(41), false],
  ])('whether %j can be the name of a lab', (name, allowed) => {
    expect(isLabName(name)).toBe(allowed);
  });
});
