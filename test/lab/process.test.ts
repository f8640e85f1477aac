import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { startProcess, type ProcessOptions, type RunningProcess } from '../../lab/process.ts';

const processModule = new URL('../../lab/process.ts', import.meta.url).href;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function untilGone(pid: number): Promise<void> {
  const giveUpAt = Date.now() + 20_000;
  while (isAlive(pid)) {
    if (Date.now() > giveUpAt) throw new Error(`process ${pid} still runs`);
    await wait(20);
  }
}

async function startScript(script: string, options: Partial<ProcessOptions> = {}): Promise<RunningProcess> {
  return startProcess({ name: 'The example', command: process.execPath, args: ['-e', script], ready: /ready (\w+)/, ...options });
}

/** Serves until it is told to end, after having started a program of its own. */
const parentScript = `
  const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'inherit' });
  console.log('ready p' + child.pid);
`;

function grandchildOf(running: RunningProcess): number {
  return Number(running.readyMatch?.[1]?.slice(1));
}

test('a process is ready when it prints the line, and the groups of the pattern are handed over', async () => {
  const running = await startScript("console.log('one'); console.log('ready now'); setInterval(() => 0, 1000)");
  expect(running.readyMatch?.[1]).toBe('now');
  expect(isAlive(running.pid)).toBe(true);
  await running.stop();
  expect(isAlive(running.pid)).toBe(false);
  await expect(running.ended).resolves.toBe('was ended by SIGTERM');
});

test('a process is ready when the check passes for the first time', async () => {
  let looks = 0;
  const ready = async (): Promise<void> => {
    looks += 1;
    if (looks < 3) throw new Error('not yet');
  };
  const running = await startScript('setInterval(() => 0, 1000)', { ready });
  expect(looks).toBe(3);
  await running.stop();
});

test.each(['stop', 'kill'] as const)('%s also ends what the process itself has started', async (way) => {
  const running = await startScript(parentScript);
  const grandchild = grandchildOf(running);
  expect(isAlive(grandchild)).toBe(true);
  await running[way]();
  await untilGone(grandchild);
  expect(isAlive(running.pid)).toBe(false);
});

test('stopping twice is the same as stopping once', async () => {
  const running = await startScript("console.log('ready now'); setInterval(() => 0, 1000)");
  await Promise.all([running.stop(), running.stop()]);
  await expect(running.stop()).resolves.toBeUndefined();
});

test('a process that ignores SIGTERM is killed after the limit', async () => {
  const running = await startScript("process.on('SIGTERM', () => 0); console.log('ready now'); setInterval(() => 0, 1000)");
  await running.stop();
  await expect(running.ended).resolves.toBe('was ended by SIGKILL');
}, 30_000);

test('a process that ends too early is reported with its exit code, command and last lines', async () => {
  const script = "for (let i = 1; i <= 100; i++) console.error('line ' + i); process.exitCode = 3";
  const failure = await startScript(script).catch((error: Error) => error.message);
  expect(failure).toMatch(/^The example ended with exit code 3 before it was ready\. Command: .*node/);
  expect(failure).toContain('line 100');
  expect(failure).not.toContain('line 60\n');
});

test('a process that is never ready is ended, and the last refusal of the check is told', async () => {
  const ready = async (): Promise<void> => {
    throw new Error('port closed');
  };
  const script = "console.log('pid ' + process.pid); setInterval(() => 0, 1000)";
  const started = startScript(script, { ready, readyTimeoutMs: 2_000 });
  const failure = await started.then(
    () => 'it started',
    (error: Error) => error.message,
  );
  expect(failure).toMatch(/^The example was not ready after 2 s: port closed\./);
  const pid = Number(/^pid (\d+)$/m.exec(failure)?.[1]);
  expect(pid).toBeGreaterThan(0);
  expect(isAlive(pid)).toBe(false);
});

test('a process that prints nothing and does nothing is reported as silent', async () => {
  await expect(startScript('setInterval(() => 0, 1000)', { readyTimeoutMs: 500 })).rejects.toThrow(
    /^The example was not ready after 0\.5 s\. Command: [^]*It printed nothing\.$/,
  );
});

test('a program that is not installed is named', async () => {
  await expect(startScript('', { command: 'holdpoint-no-such-program' })).rejects.toThrow(
    'The example cannot be started: spawn holdpoint-no-such-program ENOENT.',
  );
});

test('endless output does not fill the memory: only the last lines are kept, cut to a bearable length', async () => {
  const script = "for (let i = 0; i < 1e4; i++) console.log(i); console.log('x'.repeat(1e6)); console.log('ready now')";
  const running = await startScript(`${script}; setInterval(() => 0, 1000)`);
  const lines = running.output().split('\n');
  expect(lines).toHaveLength(40);
  expect(lines.slice(-3)).toEqual(['9999', 'x'.repeat(2_000), 'ready now']);
  await running.stop();
});

test.each([
  ['is killed by SIGKILL', "process.kill(process.pid, 'SIGKILL')"],
  ['is interrupted (Ctrl-C)', "process.kill(process.pid, 'SIGINT')"],
  ['exits without stopping it', 'process.exit(0)'],
])('a process and its own children end when we end: our process %s', async (_case, death) => {
  const script = `
    import { startProcess } from ${JSON.stringify(processModule)};
    const script = ${JSON.stringify(parentScript)};
    const running = await startProcess({ name: 'x', command: process.execPath, args: ['-e', script], ready: /ready (\\w+)/ });
    console.log(running.pid, running.readyMatch[1].slice(1));
    process.stdin.once('data', () => { ${death}; });
  `;
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const pids = await new Promise<number[]>((resolve) => {
    createInterface(parent.stdout).once('line', (line) => resolve(line.split(' ').map(Number)));
  });
  expect(pids.map(isAlive)).toEqual([true, true]);
  parent.stdin.write('die\n');
  for (const pid of pids) await untilGone(pid);
});
