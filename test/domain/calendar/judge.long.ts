import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import type { ClockChangeChoice, Window } from '../../../domain/calendar/window.ts';
import { openingsOf, parseRecurrence, parseWeekly, weeklyTimes } from '../../../domain/calendar/window.ts';
import { momentsOf, nextClockChange, wallMsAt } from '../../../domain/calendar/zone.ts';

const dayMs = 86_400_000;
const zones = [
  'Africa/Cairo',
  'Africa/Casablanca',
  'Africa/Johannesburg',
  'Africa/Lagos',
  'America/Anchorage',
  'America/Argentina/Buenos_Aires',
  'America/Chicago',
  'America/Denver',
  'America/Halifax',
  'America/Havana',
  'America/Los_Angeles',
  'America/Mexico_City',
  'America/New_York',
  'America/Nuuk',
  'America/Phoenix',
  'America/Santiago',
  'America/Sao_Paulo',
  'America/St_Johns',
  'Antarctica/Troll',
  'Asia/Beirut',
  'Asia/Gaza',
  'Asia/Jerusalem',
  'Asia/Kathmandu',
  'Asia/Kolkata',
  'Asia/Seoul',
  'Asia/Shanghai',
  'Asia/Tokyo',
  'Atlantic/Azores',
  'Australia/Adelaide',
  'Australia/Lord_Howe',
  'Australia/Sydney',
  'Europe/Berlin',
  'Europe/Chisinau',
  'Europe/Dublin',
  'Europe/London',
  'Europe/Moscow',
  'Pacific/Auckland',
  'Pacific/Chatham',
  'Pacific/Easter',
  'UTC',
] as const;
const choices = (['skip', 'shift'] as const).flatMap((gap) =>
  (['first', 'second', 'once'] as const).map((overlap): ClockChangeChoice => ({ gap, overlap })),
);
const [first, last] = ['2024-01-01T00:00:00', '2030-12-31T00:00:00'];
const [firstMs, lastMs] = [Date.parse(`${first}Z`), Date.parse(`${last}Z`)];

const isThere = spawnSync('python3', ['-c', 'import zoneinfo, dateutil.rrule'], { stdio: 'ignore' }).status === 0;
if (!isThere) {
  process.stderr.write('\nNOT JUDGED: openings were compared with nothing, as there is no python3 with zoneinfo and dateutil here.\n\n');
}

/** What clocks of a zone show beside UTC, in ms, at these moments (Unix time in s). */
interface OffsetsQuestion {
  zone: string;
  offsetsAt: number[];
}

interface Question extends ClockChangeChoice {
  zone: string;
  first: string;
  last: string;
  weekly?: [number[], number, number][];
  rule?: string;
  start?: string;
  hours?: number;
}

function ask<Answer = [number, number]>(questions: readonly (Question | OffsetsQuestion)[]): Answer[][] {
  const script = fileURLToPath(new URL('judge.py', import.meta.url));
  const { status, stdout, stderr } = spawnSync('python3', [script], {
    input: JSON.stringify(questions),
    encoding: 'utf8',
    maxBuffer: 2 ** 29,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Answer[][];
}

/** Noon of each day, and a second before and after each change of the clocks. */
function momentsToCompare(zone: string): number[] {
  const moments = Array.from({ length: (lastMs - firstMs) / dayMs }, (_, day) => firstMs + (day + 0.5) * dayMs);
  for (let change = nextClockChange(firstMs, zone); change && change.atMs < lastMs; change = nextClockChange(change.atMs, zone)) {
    moments.push(change.atMs - 1_000, change.atMs + 1_000);
  }
  return moments;
}

let zonesInCommon: string[] | undefined;

/** The zones whose clocks the judge and this Node know alike: each has its own edition of the zone data, which changes now and then. */
function judgedZones(): string[] {
  if (zonesInCommon) return zonesInCommon;
  const moments = zones.map(momentsToCompare);
  const answers = ask<number>(zones.map((zone, index) => ({ zone, offsetsAt: moments[index]!.map((ms) => ms / 1000) })));
  const alike = (zone: string, index: number): boolean =>
    moments[index]!.every((ms, at) => wallMsAt(ms, zone) - ms === answers[index]![at]);
  zonesInCommon = zones.filter(alike);
  const others = zones.filter((zone) => !zonesInCommon!.includes(zone));
  if (others.length > 0)
    process.stderr.write(`\nNOT JUDGED: ${others.join(', ')}, as python3 and Node have other editions of the zone data.\n\n`);
  expect(zonesInCommon.length).toBeGreaterThanOrEqual(0.8 * zones.length);
  return zonesInCommon;
}

/** Ours, for the same local times as the judge's; both ends of the years are left out, where a zone is a day off. */
function ours({ zone, gap, overlap, weekly, rule, start, hours, first, last }: Question): [number, number][] {
  const common = { zone, onClockChange: { gap, overlap }, text: '' };
  const windows: Window[] = (weekly ?? []).map(([days, opensMinute, closesMinute]) => {
    return { ...common, wallTimes: (from, until) => weeklyTimes({ days, opensMinute, closesMinute }, from, until) };
  });
  if (rule !== undefined) {
    const times = parseRecurrence({ rule, start: start! }, zone);
    if (typeof times === 'string') throw new Error(times);
    windows.push({
      ...common,
      durationMs: hours! * 3_600_000,
      wallTimes: (from, until) => times(from, until).map((at) => ({ from: at, until: at })),
    });
  }
  const range = { from: Date.parse(`${first}Z`), until: Date.parse(`${last}Z`) };
  return windows
    .flatMap((window) => openingsOf(window, range))
    .map(({ from, until }): [number, number] => [from, until])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

function compare(questions: Question[], leastOpenings: number): void {
  let compared = 0;
  const answers = ask(questions);
  for (const [index, question] of questions.entries()) {
    const [afterMs, beforeMs] = [Date.parse(`${question.first}Z`) + 2 * dayMs, Date.parse(`${question.last}Z`) - 2 * dayMs];
    const inside = ([from, until]: [number, number]): boolean => from > afterMs && until < beforeMs;
    const judged = answers[index]!.filter(inside);
    const openings = ours(question).filter(inside);
    compared += judged.length;
    // Texts are compared in no time; jest is to say what differs.
    if (JSON.stringify(openings) !== JSON.stringify(judged)) expect({ question, openings }).toEqual({ question, openings: judged });
  }
  expect(compared).toBeGreaterThan((leastOpenings * judgedZones().length) / zones.length);
}

const judged = isThere ? test : test.skip;

judged('weekly openings of 40 zones in seven years are those of zoneinfo', () => {
  const questions = judgedZones().map((zone, index): Question => {
    return {
      zone,
      first,
      last,
      ...choices[index % choices.length]!,
      weekly: [
        [[4, 5, 6], 90, 150],
        [[4, 5, 6], 23 * 60 + 30, 24 * 60 + 30],
      ],
    };
  });
  compare(questions, 80_000);
});

judged('openings by rules of 40 zones in seven years are those of dateutil', () => {
  const rules = [
    ['FREQ=MONTHLY;BYDAY=2TU', '2023-11-14T22:00', 4],
    ['FREQ=WEEKLY;INTERVAL=2;BYDAY=SU;WKST=SU', '2023-12-03T02:30', 3],
    ['FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1', '2024-01-31T23:30', 6],
    ['FREQ=YEARLY;BYMONTH=3,10,11;BYDAY=SU;BYHOUR=1,2', '2024-01-01T01:30', 2],
    ['FREQ=MONTHLY;BYMONTHDAY=-1', '2024-01-31T00:00', 24],
  ] as const;
  const questions = judgedZones().flatMap((zone, index) =>
    rules.map(([rule, start, hours], at): Question => ({
      zone,
      first,
      last,
      ...choices[(index + at) % choices.length]!,
      rule,
      start,
      hours,
    })),
  );
  compare(questions, 20_000);
});

judged('around every clock change of 40 zones in seven years, each choice gives the openings of zoneinfo', () => {
  const questions: Question[] = [];
  for (const zone of judgedZones()) {
    for (let change = nextClockChange(firstMs, zone); change && change.atMs < lastMs; change = nextClockChange(change.atMs, zone)) {
      const day = new Date(wallMsAt(change.atMs, zone)).toISOString().slice(0, 10);
      const at = (days: number): string => new Date(Date.parse(`${day}T00:00:00Z`) + days * dayMs).toISOString().slice(0, 19);
      for (const choice of choices) {
        const everyDay = [0, 1, 2, 3, 4, 5, 6];
        const weekly: Question['weekly'] = [90, 23 * 60 + 30].map((opens) => [everyDay, opens, opens + 45]);
        questions.push({ zone, first: at(-4), last: at(4), ...choice, weekly: [...weekly, [everyDay, 22 * 60, 26 * 60 + 30]] });
      }
    }
  }
  compare(questions, 20_000);
});

test('the zones have clock changes of all kinds', () => {
  const kinds = new Set(zones.flatMap((zone) => [nextClockChange(firstMs, zone)?.forwardMs ?? 0]));
  expect([...kinds].map((ms) => ms / 60_000).sort((a, b) => a - b)).toEqual(expect.arrayContaining([-60, -30, 0, 60, 120]));
  expect(parseWeekly('Fri-Sun 01:30-02:30')).toEqual({ days: [4, 5, 6], opensMinute: 90, closesMinute: 150 });
  expect(momentsOf(firstMs, 'UTC')).toEqual({ kind: 'once', first: firstMs, last: firstMs });
});
