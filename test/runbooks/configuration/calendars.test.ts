import { expect, test } from '@jest/globals';
import { loadConfiguration } from '../../../runbooks/configuration/configuration.ts';
import { formatProblem } from '../../../runbooks/grammar/problem.ts';

const head = `apiVersion: holdpoint.dev/v1
kind: Configuration
people: {}
groups: {}
policies: {}
calendars:
`;

function load(calendars: string): ReturnType<typeof loadConfiguration> {
  return loadConfiguration(head + calendars, 'h.yaml');
}

test('calendars are read with their defaults, and files of freezes with the place where they are named', () => {
  const text = [
    '  weekend: { zone: Asia/Seoul, weekly: "Sat,Sun 22:00-04:00", freezes: [{ from: 2026-12-20, until: 2027-01-03 }, { ical: ./f.ics }] }',
    '  patch: { zone: Asia/Seoul, rrule: FREQ=MONTHLY;BYDAY=2TU, start: "2026-01-01T22:00", duration: 4h, dst: { gap: skip } }',
    '  both: { anyOf: [weekend, patch] }',
  ].join('\n');
  const { configuration, problems } = load(text);
  expect(problems.map(formatProblem)).toEqual([]);
  expect(configuration?.calendars).toEqual({
    weekend: {
      zone: 'Asia/Seoul',
      weekly: ['Sat,Sun 22:00-04:00'],
      dst: { gap: 'shift', overlap: 'first' },
      freezes: [
        { from: '2026-12-20', until: '2027-01-03', why: 'freeze' },
        { ical: './f.ics', place: { file: 'h.yaml', line: 7, column: 122, path: 'calendars.weekend.freezes[1].ical' } },
      ],
    },
    patch: {
      zone: 'Asia/Seoul',
      rrule: 'FREQ=MONTHLY;BYDAY=2TU',
      start: '2026-01-01T22:00',
      durationMs: 14_400_000,
      dst: { gap: 'skip', overlap: 'first' },
      freezes: [],
    },
    both: { anyOf: ['weekend', 'patch'], dst: { gap: 'shift', overlap: 'first' }, freezes: [] },
  });
});

const zone = 'zone: Asia/Seoul';
const rrule = (rule: string): string => `  x: { ${zone}, rrule: "${rule}", start: "2026-01-01T22:00", duration: 4h }`;

test.each([
  [
    'never opens',
    rrule('FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30'),
    'h.yaml:7:6 error calendars.x: Never opens: nothing fits it in five years.',
  ],
  [
    'a rule that does not parse',
    rrule('FREQ=MONTHLY;BYDAY=9XX'),
    'h.yaml:7:33 error calendars.x.rrule: "FREQ=MONTHLY;BYDAY=9XX" cannot be used: ',
  ],
  [
    'no end of work',
    rrule('FREQ=SECONDLY'),
    'calendars.x.rrule: "FREQ=SECONDLY" has `FREQ=SECONDLY`, which opens too often to be a window',
  ],
  ['too many openings', rrule('FREQ=HOURLY'), 'calendars.x.rrule: "FREQ=HOURLY" opens more than 1000 times a year.'],
  [
    'unknown zone',
    '  x: { zone: Asia/Soul, weekly: "Sat 22:00-04:00" }',
    'h.yaml:7:14 error calendars.x.zone: There is no zone "Asia/Soul" in the IANA database. Did you mean "Asia/Seoul"?',
  ],
  ['an offset for a zone', '  x: { zone: "+09:00", weekly: "Sat 22:00-04:00" }', 'There is no zone "+09:00"'],
  ['no zone', '  x: { weekly: "Sat 22:00-04:00" }', 'Has no `zone`, such as Asia/Seoul'],
  [
    'shorter than any step',
    `  x: { ${zone}, weekly: "Sat 22:00-22:04" }`,
    'calendars.x: No opening has 5 minutes, which is shorter than any step.',
  ],
  [
    'combined to nothing',
    `  a: { ${zone}, weekly: "Sat 22:00-23:00" }\n  b: { ${zone}, weekly: "Sun 22:00-23:00" }\n  x: { allOf: [a, b] }`,
    'h.yaml:9:6 error calendars.x: Never opens',
  ],
  [
    'an unknown calendar',
    `  weekend: { ${zone}, weekly: "Sat 22:00-23:00" }\n  x: { allOf: [weekends] }`,
    'calendars.x.allOf[0]: There is no calendar "weekends". Did you mean "weekend"?',
  ],
  ['a circle', '  x: { allOf: [y] }\n  y: { anyOf: [x] }', 'Is made of itself: x, y, x.'],
  [
    'freezes in anyOf',
    `  f: { ${zone}, freezes: [{ from: 2026-12-20, until: 2026-12-21 }] }\n  x: { anyOf: [f] }`,
    '"f" has freezes only and would be always open; put it into allOf.',
  ],
  ['two kinds', `  x: { ${zone}, weekly: "Sat 22:00-23:00", allOf: [x] }`, 'Has `weekly` and `allOf`; it can have one of them.'],
  ['nothing', '  x: {}', 'Says nothing'],
  [
    'a freeze that is none',
    `  x: { ${zone}, freezes: [{ from: 2026-12-20 }] }`,
    'h.yaml:7:36 error calendars.x.freezes[0]: Must be `from` and `until`, or `ical`, or `url`.',
  ],
  [
    'a freeze the wrong way round',
    `  x: { ${zone}, freezes: [{ from: 2026-12-20, until: 2026-12-18 }] }`,
    'ends (2026-12-18) before it begins (2026-12-20).',
  ],
  [
    'a day that is none',
    `  x: { ${zone}, freezes: [{ from: 2026-02-30, until: 2026-12-18 }] }`,
    'has `from: 2026-02-30`, which is no local time',
  ],
  [
    'an address that can be changed on its way',
    `  x: { ${zone}, freezes: [{ url: "http://example.org/f.ics" }] }`,
    'Must be an address that begins with https://',
  ],
  [
    'start without a rule',
    `  x: { ${zone}, weekly: "Sat 22:00-23:00", start: "2026-01-01T22:00" }`,
    'calendars.x.start: `start` belongs to `rrule`.',
  ],
  ['no start', `  x: { ${zone}, rrule: FREQ=DAILY, duration: 4h }`, 'Has an `rrule` without `start`'],
  ['an opening of two months', `  x: { ${zone}, rrule: FREQ=DAILY, start: "2026-01-01T22:00", duration: 60d }`, 'Must be 31 days at most.'],
])('%s is refused with file, line and path', (_what, calendars, expected) => {
  const { configuration, problems } = load(calendars);
  expect(configuration).toBeUndefined();
  expect(problems.map(formatProblem).join('\n')).toContain(expected);
});
