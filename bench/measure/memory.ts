import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { percentile, rounded } from './figures.ts';

const runFile = promisify(execFile);

const samples = 5;
const samplePauseMs = 1_000;
const kibPerMib = 1024;

/** Resident memory of a process in MiB: the median of several looks, a second apart. Throws where there is no such process. */
export async function residentMemoryMb(pid: number): Promise<number> {
  const looks: number[] = [];
  for (let look = 0; look < samples; look += 1) {
    if (look > 0) await wait(samplePauseMs);
    looks.push((await residentKib(pid)) / kibPerMib);
  }
  return rounded(percentile(looks, 50));
}

/** Linux says it in a file, so that no `ps` must be installed; other systems have one. */
async function residentKib(pid: number): Promise<number> {
  if (process.platform === 'linux') {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib);
  }
  const { stdout } = await runFile('ps', ['-o', 'rss=', '-p', String(pid)]);
  return Number(stdout.trim());
}

/** The most memory that a process has ever had resident, in MiB. Linux keeps it; elsewhere, or once it has ended, it is not known (NaN). */
export async function peakMemoryMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
  return Math.round(Number(kib) / kibPerMib);
}
