import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { alwaysFrozen, type FreezeSource } from '../../domain/calendar/freeze.ts';
import { freezesOfICal, icalCharactersMax } from '../../domain/calendar/ical.ts';
import { calendarsOf, type CalendarDefinition, type DocumentPlace, type FreezeFile } from '../../domain/calendar/definition.ts';
import type { Calendar } from '../../domain/calendar/calendar.ts';
import { fileTrouble } from '../../domain/file-trouble.ts';

/** How long an address may take to answer. */
const answerTimeoutMs = 5_000;
/** An address is asked again only after so long. */
const copyFreshMs = 60_000;

/** Freezes of an address, and when they were read from it. */
export interface FreezeCopy {
  url: string;
  /** Milliseconds since 1970; undefined where there never was a good copy. */
  readMs?: number;
  /** Why the address has not given a newer one; undefined where it has. */
  trouble?: string;
}

/** The calendars of a configuration as they are now. */
export interface CalendarsNow {
  calendars: Map<string, Calendar>;
  copies: FreezeCopy[];
  /** What is wrong with iCal files on this machine, at the place that names them. They count as a freeze until somebody corrects them. */
  problems: (DocumentPlace & { message: string })[];
}

/** Where good copies of what stands at addresses are kept. */
export function calendarCopies(env: Readonly<Record<string, string | undefined>>): string {
  return join(env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local', 'state'), 'holdpoint', 'calendars');
}

/**
 * Reads what the freezes of calendars need: iCal files, whose paths are relative to holdpoint.yaml, and addresses. Never throws for what
 * cannot be read: it is a freeze then, and says so. Of an address the last good copy counts, however old it is.
 */
export async function readCalendars(
  definitions: Readonly<Record<string, CalendarDefinition>>,
  { file, copiesFolder, nowMs }: { file: string; copiesFolder: string; nowMs: number },
): Promise<CalendarsNow> {
  const sources = new Map<string, FreezeSource>();
  const copies: FreezeCopy[] = [];
  const problems: CalendarsNow['problems'] = [];
  for (const { zone = 'UTC', freezes } of Object.values(definitions)) {
    for (const freeze of freezes) {
      if (!('place' in freeze)) continue;
      const key = keyOf(freeze, zone);
      if (sources.has(key)) continue;
      const read = 'ical' in freeze ? await readFileOf(freeze.ical, file, zone) : await readAddress(freeze.url, zone, copiesFolder, nowMs);
      if (read.copy) copies.push(read.copy);
      if (read.problem !== undefined) problems.push({ ...freeze.place, message: read.problem });
      sources.set(key, read.source);
    }
  }
  const { calendars } = calendarsOf(definitions, (freeze, zone) => sources.get(keyOf(freeze, zone)) ?? alwaysFrozen('', 'it was not read'));
  return { calendars, copies, problems };
}

function keyOf(freeze: FreezeFile, zone: string): string {
  return JSON.stringify(['ical' in freeze ? freeze.ical : freeze.url, zone]);
}

/** What a file or an address has given. */
interface Reading {
  source: FreezeSource;
  copy?: FreezeCopy;
  problem?: string;
}

async function readFileOf(path: string, configurationFile: string, zone: string): Promise<Reading> {
  const file = resolve(dirname(configurationFile), path);
  const unusable = (problem: string): Reading => ({ source: alwaysFrozen(path, problem), problem });
  try {
    const { size } = await stat(file);
    // Not even read: a file of gigabytes must not end the worker.
    if (size > 4 * icalCharactersMax) return unusable(`${file}:1 has ${size} bytes; at most ${icalCharactersMax} characters are read.`);
    const read = freezesOfICal(await readFile(file, 'utf8'), path, zone);
    return 'freezesIn' in read ? { source: read } : unusable(`${file}:${read.line} ${read.message}.`);
  } catch (error) {
    return unusable(`${file} cannot be read: ${fileTrouble(error) ?? String(error)}.`);
  }
}

async function readAddress(url: string, zone: string, folder: string, nowMs: number): Promise<Reading> {
  const file = join(folder, `${createHash('sha256').update(url).digest('hex')}.ics`);
  const kept = await copyIn(file, zone, url);
  if (kept && nowMs - kept.readMs < copyFreshMs && nowMs >= kept.readMs) return { source: kept.source, copy: { url, readMs: kept.readMs } };
  try {
    const text = await fetchText(url);
    const read = freezesOfICal(text, url, zone);
    if (!('freezesIn' in read)) throw new Error(`line ${read.line} ${read.message}`);
    await keep(file, text, nowMs);
    return { source: read, copy: { url, readMs: nowMs } };
  } catch (error) {
    const trouble = troubleOf(error);
    if (kept) return { source: kept.source, copy: { url, readMs: kept.readMs, trouble } };
    return { source: alwaysFrozen(url, `${url} could not be read, and there is no copy of it: ${trouble}`), copy: { url, trouble } };
  }
}

async function copyIn(file: string, zone: string, url: string): Promise<{ source: FreezeSource; readMs: number } | undefined> {
  try {
    const { readMs, text } = JSON.parse(await readFile(file, 'utf8')) as { readMs: number; text: string };
    const source = freezesOfICal(text, url, zone);
    return 'freezesIn' in source ? { source, readMs } : undefined;
  } catch {
    // Absent, or torn: then there is no copy.
    return undefined;
  }
}

/** A copy is whole or not there: several workers may write it at once. */
async function keep(file: string, text: string, readMs: number): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const unfinished = `${file}.${process.pid}`;
  await writeFile(unfinished, JSON.stringify({ readMs, text }), { mode: 0o600 });
  const handle = await open(unfinished);
  await handle.sync().finally(() => handle.close());
  await rename(unfinished, file);
}

async function fetchText(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(answerTimeoutMs), redirect: 'error' });
  if (!response.ok) throw new Error(`it answered ${response.status}`);
  let text = '';
  const decoder = new TextDecoder('utf-8');
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > icalCharactersMax) throw new Error(`it has more than ${icalCharactersMax} characters`);
  }
  return text + decoder.decode();
}

/** Errors of `fetch` may be of another realm, so their class says nothing. */
function troubleOf(error: unknown): string {
  const { name, message, cause } = error as { name?: string; message?: string; cause?: { message?: string } };
  if (name === 'TimeoutError') return `no answer within ${answerTimeoutMs / 1_000} s`;
  return `${message ?? String(error)}${cause?.message === undefined ? '' : ` (${cause.message})`}`;
}
