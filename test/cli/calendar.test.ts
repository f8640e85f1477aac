import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createEnvironment, type Environment } from './environment.ts';

let environment: Environment;
beforeEach(async () => {
  environment = await createEnvironment();
});
afterEach(() => environment.stop());

const told = (outcome: { lines: { text: string }[] }): string => outcome.lines.map(({ text }) => text).join('');

async function configure(...lines: string[]): Promise<void> {
  await appendFile(join(environment.directory, 'holdpoint.yaml'), ['calendars:', ...lines, ''].join('\n'));
}

const night =
  '  night: { zone: Europe/Berlin, weekly: "Sat,Sun 02:30-05:00", freezes: [{ from: 2027-04-01, until: 2027-04-05, why: Easter }] }';

test('preview shows the openings, and those beside the next clock changes', async () => {
  await configure(night);
  const { code, stdout } = await environment.call([
    'calendar',
    'preview',
    'night',
    '--from',
    '2027-03-20T00:00Z',
    '--count',
    '3',
    '--json',
  ]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    calendar: 'night',
    zones: ['Europe/Berlin'],
    openings: [
      { opens: '2027-03-20T01:30:00.000Z', closes: '2027-03-20T04:00:00.000Z' },
      { opens: '2027-03-21T01:30:00.000Z', closes: '2027-03-21T04:00:00.000Z' },
      { opens: '2027-03-27T01:30:00.000Z', closes: '2027-03-27T04:00:00.000Z' },
    ],
    clockChanges: [
      {
        zone: 'Europe/Berlin',
        at: '2027-03-28T01:00:00.000Z',
        forwardMinutes: 60,
        openings: [{ opens: '2027-03-27T01:30:00.000Z' }, { opens: '2027-03-28T01:30:00.000Z', closes: '2027-03-28T03:00:00.000Z' }],
      },
      { at: '2027-10-31T01:00:00.000Z', forwardMinutes: -60 },
    ],
  });
  const text = told(await environment.call(['calendar', 'preview', 'night', '--from', '2027-03-20T00:00Z', '--count', '3']));
  expect(text).toContain('the clocks of Europe/Berlin go forward by 1 h. Openings beside it:');
  expect(text).toContain('for 2 h 30 min');
});

test('explain says which freeze wins over which window, and when it opens next', async () => {
  await configure(night);
  const text = told(await environment.call(['calendar', 'explain', 'night', '--at', '2027-04-03T03:00+02:00']));
  expect(text).toContain('night is frozen at ');
  expect(text).toContain('Freeze of night (holdpoint.yaml): Easter, from ');
  expect(text).toContain('Window of night: Sat,Sun 02:30-05:00, Europe/Berlin: open.');
  const json = await environment.call(['calendar', 'explain', 'night', '--at', '2027-04-03T03:00+02:00', '--json']);
  expect(JSON.parse(json.stdout)).toMatchObject({
    state: 'frozen',
    next: { opens: '2027-04-10T00:30:00.000Z' },
    freezes: [{ why: 'Easter' }],
  });
});

test('list shows each calendar, and what an address has last given', async () => {
  await configure(night, '  shut: { zone: Asia/Seoul, weekly: "Sat 22:00-23:00", freezes: [{ url: "http://127.0.0.1:1/f.ics" }] }');
  environment.env.XDG_STATE_HOME = join(environment.directory, 'state');
  const outcome = await environment.call(['calendar', 'list']);
  expect(outcome.code).toBe(0);
  expect(told(outcome)).toMatch(/night +(open|shut|frozen) .*Sat,Sun 02:30-05:00 Europe\/Berlin/);
  expect(told(outcome)).toMatch(/shut +frozen +no opening in sight/);
  expect(told(outcome)).toContain('http://127.0.0.1:1/f.ics: never read; it could not be read now');
});

test.each<[string, string[], string[], string]>([
  ['a calendar that is not there', [night], ['preview', 'nigth'], 'There is no calendar "nigth". Did you mean "night"?'],
  ['a time that is none', [night], ['explain', 'night', '--at', 'noon'], '--at noon is no time.'],
  ['a count that is none', [night], ['preview', 'night', '--count', '0'], '--count 0 is no number from 1 to 1000.'],
  [
    'a calendar that never opens',
    ['  x: { zone: UTC, rrule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30, start: "2026-01-01T22:00", duration: 1h }'],
    ['list'],
    'error calendars.x: Never opens',
  ],
  ...[
    ['rrule: FREQ=SECONDLY, start: "2026-01-01T22:00", duration: 1h', 'error calendars.x.rrule: "FREQ=SECONDLY" has'],
    ['rrule: FREQ=WEAKLY, start: "2026-01-01T22:00", duration: 1h', 'error calendars.x.rrule: "FREQ=WEAKLY" has'],
    ['weekly: "Sat 22:00-22:01"', 'error calendars.x: No opening has 5 minutes, which is shorter than any step.'],
  ].map(([given = '', sentence = '']): [string, string[], string[], string] => {
    return [`the calendar with ${given}`, [`  x: { zone: UTC, ${given} }`], ['list'], sentence];
  }),
  ['a zone that is not known', ['  x: { zone: Mars/Olympus, weekly: "Sat 22:00-23:00" }'], ['list'], 'error calendars.x.zone: '],
])('%s is a mistake of the command line or the file: exit code 2', async (_what, lines, words, sentence) => {
  await configure(...lines);
  const outcome = await environment.call(['calendar', ...words]);
  expect(told(outcome)).toContain(sentence);
  if (sentence.startsWith('error ')) expect(told(outcome)).toMatch(/holdpoint\.yaml:\d+:\d+ error calendars\.x/);
  expect(outcome.code).toBe(2);
});

test('an iCal file of 5 MB is refused with file, line and path', async () => {
  await configure('  x: { zone: UTC, weekly: "Sat 22:00-23:00", freezes: [{ ical: big.ics }] }');
  await writeFile(join(environment.directory, 'big.ics'), 'x'.repeat(5 * 1024 * 1024));
  const name = join(environment.directory, 'holdpoint.yaml');
  for (const words of [
    ['calendar', 'list'],
    ['lint', '--config', name],
  ]) {
    const outcome = await environment.call(words);
    expect(told(outcome)).toMatch(/holdpoint\.yaml:\d+:\d+ error calendars\.x\.freezes\[0\]\.ical: .*big\.ics:1 has 5242880 bytes/);
    expect(outcome.code).toBe(2);
  }
});

test.each([
  ['rrule: FREQ=WEEKLY;COUNT=3, start: "2020-01-01T22:00", duration: 1h', 'its rule has no opening any more'],
  ['weekly: "Sat 22:00-23:00", freezes: [{ from: 2020-01-01, until: 2090-01-01 }]', 'a freeze covers all its openings'],
])('lint refuses a calendar that opens no more: %s', async (given, why) => {
  await configure(`  x: { zone: UTC, ${given} }`);
  const outcome = await environment.call(['lint', '--config', join(environment.directory, 'holdpoint.yaml')]);
  expect(told(outcome)).toMatch(/holdpoint\.yaml:\d+:\d+ error calendars\.x: Does not open in the five years from today: /);
  expect(told(outcome)).toContain(why);
  expect(outcome.code).toBe(2);
});

test('without calendars it says where to put them', async () => {
  expect(told(await environment.call(['calendar', 'list']))).toContain('There are no calendars in');
});
