import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, test } from '@jest/globals';
import { programCommand } from '../../cli/program-files.ts';

const { command, args } = programCommand('sandbox/main');

test('the sandbox as a process says where it listens, serves, and ends on SIGTERM with an open watch', async () => {
  const sandbox = spawn(command, [...args, '--world', 'demo', '--speed', '50', '--seed', '4'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(sandbox.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  const clusters = (await (await fetch(`${url}/sandbox/clusters`)).json()) as { clusters: object[] };
  expect(clusters).toMatchObject({ speed: 50, clusters: [{ name: 'demo', url: `${url}/kubernetes/demo`, version: '1.33' }] });
  const watch = await fetch(`${url}/kubernetes/demo/api/v1/pods?watch=true`);
  expect(watch.status).toBe(200);
  sandbox.kill('SIGTERM');
  expect(await once(sandbox, 'exit')).toEqual([0, null]);
  await expect(watch.text()).rejects.toThrow();
});

test('a world that nobody knows is refused with the names of those there are', async () => {
  const sandbox = spawn(command, [...args, '--world', 'mars']);
  const errors: Buffer[] = [];
  sandbox.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  expect(await once(sandbox, 'close')).toEqual([1, null]);
  expect(Buffer.concat(errors).toString()).toBe('there is no world called mars; there are: demo, upgrade, aurora\n');
});

test('a process that is told a rate of faults lets requests go wrong, and refuses a rate that is none', async () => {
  const start = (rate: string) => spawn(command, [...args, '--fault-rate', rate], { stdio: ['ignore', 'pipe', 'pipe'] });
  const sandbox = start('1');
  const [line] = (await once(createInterface(sandbox.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  expect(await (await fetch(`${url}/sandbox/faults`)).json()).toEqual({ rate: 1 });
  // Whichever fault it is: a time-out and a delay would keep the test waiting.
  await fetch(`${url}/kubernetes/demo/api/v1/nodes`, { signal: AbortSignal.timeout(300) }).catch(() => undefined);
  const { counters } = (await (await fetch(`${url}/sandbox/observer`)).json()) as { counters: { faults: object } };
  expect(Object.values(counters.faults)).toEqual([1]);
  sandbox.kill('SIGTERM');
  await once(sandbox, 'exit');
  const errors: Buffer[] = [];
  const refused = start('2');
  refused.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  expect(await once(refused, 'close')).toEqual([1, null]);
  expect(Buffer.concat(errors).toString()).toContain('faults cannot be set so: rate: ');
});
