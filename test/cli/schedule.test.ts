import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createEnvironment, createLiveEnvironment, type Environment, type LiveEnvironment, type Outcome } from './environment.ts';

const told = (outcome: Outcome): string => outcome.lines.map(({ text }) => text).join('');
const dataOf = (outcome: Outcome): Record<string, unknown> => JSON.parse(outcome.stdout) as Record<string, unknown>;

const calendars = [
  'calendars:',
  '  night: { zone: Europe/Berlin, weekly: "Sat,Sun 02:30-05:00", freezes: [{ from: 2027-04-01, until: 2027-04-05, why: Easter }] }',
  '  freezes-only: { zone: UTC, freezes: [{ from: 2027-04-01, until: 2027-04-05, why: Easter }] }',
  '',
].join('\n');

function scheduleText(more: readonly string[] = ['calendar: night'], { name = 'rotate', inputs = 'newNodegroup: green' } = {}): string {
  return [
    'apiVersion: holdpoint.dev/v1',
    'kind: Schedule',
    `metadata: { name: ${name} }`,
    'requester: dana',
    'runbook: node-group-rotation',
    `inputs: { region: eu-central-1, cluster: demo, nodegroup: blue, ${inputs} }`,
    ...more,
    '',
  ].join('\n');
}

async function put(environment: Environment, file: string, text: string): Promise<string> {
  const path = join(environment.directory, file);
  await writeFile(path, text);
  return path;
}

describe('without a server', () => {
  let environment: Environment;
  beforeEach(async () => {
    environment = await createEnvironment();
    await appendFile(join(environment.directory, 'holdpoint.yaml'), calendars);
  });
  afterEach(() => environment.stop());

  test('preview shows the next ten runs of a file, their holds, clock changes, and runs that a freeze keeps from starting', async () => {
    const file = await put(
      environment,
      'rotate.yaml',
      scheduleText(['times: { zone: Europe/Berlin, rrule: FREQ=MONTHLY;BYDAY=1SA, start: "2026-01-01T02:30", duration: 2h }']),
    );
    const outcome = await environment.call(['schedule', 'preview', file]);
    expect(outcome.code).toBe(0);
    expect(told(outcome)).toContain('Each stops at: sign-drain (production-change), sign-delete (production-change)');
    expect(told(outcome)).toMatch(/-- .*: the clocks of Europe\/Berlin go forward by 1 h --/);
    const json = dataOf(await environment.call(['schedule', 'preview', file, '--json']));
    expect(json.runs).toHaveLength(10);
    expect(json.holds).toEqual([
      { hold: 'sign-drain', policy: 'production-change' },
      { hold: 'sign-delete', policy: 'production-change' },
    ]);
    const frozen = await put(environment, 'frozen.yaml', scheduleText());
    await appendFile(
      join(environment.directory, 'holdpoint.yaml'),
      '  frozen: { allOf: [night], freezes: [{ from: 2020-01-01, until: 2090-01-01, why: for ever }] , zone: UTC }\n',
    );
    await writeFile(frozen, scheduleText(['calendar: frozen']));
    const text = told(await environment.call(['schedule', 'preview', frozen]));
    expect(text.match(/skipped: the freeze "for ever"/g)).toHaveLength(10);
  });

  test.each<[string, string, RegExp]>([
    ['an unknown key', scheduleText(['calendar: night', 'overlap: allow']), /rotate\.yaml:8:1 error overlap: Unknown key/],
    [
      'an unknown calendar',
      scheduleText(['calendar: nigth']),
      /rotate\.yaml:7:11 error calendar: There is no calendar "nigth".*Did you mean "night"\?/,
    ],
    ['a calendar of freezes only', scheduleText(['calendar: freezes-only']), /:7:11 error calendar: "freezes-only" has freezes only/],
    ['no time at all', scheduleText([]), /:1:1 error Must say when: by `calendar`, or by `times`/],
    [
      'a zone that is none',
      scheduleText(['times: { zone: Europe/Berlim, weekly: "Sat 02:00-04:00" }']),
      /error times\.zone: There is no zone "Europe\/Berlim"/,
    ],
    [
      'a rule without end of work',
      scheduleText(['times: { zone: UTC, rrule: FREQ=SECONDLY, start: "2026-01-01T00:00", duration: 1h }']),
      /:7:\d+ error times\.rrule: /,
    ],
    [
      'a jitter longer than the window',
      scheduleText(['calendar: night', 'jitter: 3h']),
      /:8:9 error jitter: Is not shorter than the shortest opening/,
    ],
    [
      'a catch-up shorter than the jitter',
      scheduleText(['calendar: night', 'jitter: 30m', 'catchUp: 10m']),
      /:9:10 error catchUp: Must be longer/,
    ],
    ['a missing input', scheduleText().replace('newNodegroup: green', 'maxSurge: 1'), /error inputs/],
    [
      'an unknown runbook',
      scheduleText().replace('node-group-rotation', 'node-group-rotatoin'),
      /:5:10 error runbook: There is no runbook/,
    ],
    [
      'an unknown requester',
      scheduleText().replace('requester: dana', 'requester: dena'),
      /:4:12 error requester: There is no "dena" in people/,
    ],
    [
      'another target',
      scheduleText(['calendar: night', 'target: eks/eu-central-1/other']),
      /:8:9 error target: The runbook works on eks\/eu-central-1\/demo/,
    ],
    [
      'a ticket that is none',
      scheduleText(['calendar: night', 'ticket: { id: X, link: "ftp://x" }']),
      /error ticket: The link of a ticket/,
    ],
    ['a runbook', 'apiVersion: holdpoint.dev/v1\nkind: Runbook\n', /:2:7 error kind: Must be "Schedule"/i],
  ])('%s is refused with file, line and path: exit code 2', async (_what, text, problem) => {
    const file = await put(environment, 'rotate.yaml', text);
    const outcome = await environment.call(['schedule', 'apply', '-f', file, '--dry-run']);
    expect(told(outcome)).toMatch(problem);
    expect(outcome.code).toBe(2);
  });

  test('two files with one name, and a folder without files', async () => {
    const folder = join(environment.directory, 'schedules');
    await mkdir(folder);
    const empty = await environment.call(['schedule', 'apply', '-f', folder, '--dry-run']);
    expect([empty.code, told(empty)]).toEqual([2, expect.stringContaining('There is no *.yaml in')]);
    for (const file of ['a.yaml', 'b.yaml']) await writeFile(join(folder, file), scheduleText());
    const outcome = await environment.call(['schedule', 'apply', '-f', folder, '--dry-run']);
    expect(told(outcome)).toMatch(/b\.yaml:1:1 error metadata\.name: "rotate" is also the name of .*a\.yaml/);
    expect(outcome.code).toBe(2);
  });

  test('a server that does not answer is told as everywhere', async () => {
    environment.env.TEMPORAL_ADDRESS = '127.0.0.1:1';
    const outcome = await environment.call(['schedule', 'list', '--json']);
    expect(outcome.code).toBe(1);
    expect(outcome.stdout).toContain('temporal-unreachable');
  });
});

describe('on a server', () => {
  let environment: LiveEnvironment;
  beforeAll(async () => {
    environment = await createLiveEnvironment('schedule');
    await appendFile(join(environment.directory, 'holdpoint.yaml'), calendars);
  });
  afterAll(() => environment.stop());
  const schedule = (...words: string[]): Promise<Outcome> => environment.call(['schedule', ...words]);

  test('apply shows the difference, asks, writes what has changed, and finds nothing to do the second time', async () => {
    const file = await put(environment, 'rotate.yaml', scheduleText(['calendar: night', 'jitter: 5m', 'ticket: { id: CHG-1 }']));
    const dry = await schedule('apply', '-f', file, '--dry-run');
    expect([dry.code, told(dry)]).toEqual([
      0,
      expect.stringMatching(/\+ rotate {2}node-group-rotation on eks\/eu-central-1\/demo.*\n.*dry run/),
    ]);
    expect(told(await schedule('list'))).toContain('There are no schedules.');
    const unasked = await schedule('apply', '-f', file);
    expect([unasked.code, told(unasked)]).toEqual([2, expect.stringContaining('Nobody can be asked here')]);
    const applied = await schedule('apply', '-f', file, '--yes');
    expect([applied.code, told(applied)]).toEqual([0, expect.stringContaining('Applied 1 of 1.')]);
    const again = await schedule('apply', '-f', file);
    expect([again.code, told(again)]).toEqual([0, expect.stringMatching(/= rotate {2}as it is\s+Nothing to do\./)]);

    await writeFile(file, scheduleText(['calendar: night', 'jitter: 10m', 'ticket: { id: CHG-1 }'], { inputs: 'newNodegroup: cyan' }));
    expect(told(await schedule('apply', '-f', file, '--dry-run'))).toContain('jitter: 5 min -> 10 min');
    const difference = dataOf(await schedule('apply', '-f', file, '--yes', '--json'));
    expect(difference).toEqual({
      schedules: [
        {
          name: 'rotate',
          change: 'change',
          differences: [
            { field: 'jitterMs', before: '300000', after: '600000' },
            { field: 'inputs.newNodegroup', before: '"green"', after: '"cyan"' },
          ],
        },
      ],
      applied: true,
    });
    expect(dataOf(await schedule('apply', '-f', file, '--json'))).toMatchObject({ schedules: [{ change: 'none' }], applied: true });
  });

  test('a schedule is signed by its requester, by nobody else', async () => {
    const file = await put(environment, 'other.yaml', scheduleText(['calendar: night'], { name: 'other' }));
    const outcome = await schedule('apply', '-f', file, '--yes', '--as', 'ada');
    expect([outcome.code, told(outcome)]).toEqual([2, expect.stringContaining('names dana as its requester')]);
  });

  test('pause with a note, resume, sign in advance, show, preview, delete', async () => {
    const file = await put(environment, 'rotate.yaml', scheduleText());
    await schedule('apply', '-f', file, '--yes');
    expect((await schedule('pause', 'rotate', '--note', 'storage is being replaced')).code).toBe(0);
    const paused = dataOf(await schedule('show', 'rotate', '--json'));
    expect(paused).toMatchObject({
      name: 'rotate',
      paused: true,
      note: 'storage is being replaced',
      requester: 'dana',
      trouble: null,
      outcomes: [],
    });
    // Applying changes nothing about that.
    await writeFile(file, scheduleText(['calendar: night', 'catchUp: 1h']));
    await schedule('apply', '-f', file, '--yes');
    expect(told(await schedule('show', 'rotate'))).toContain('rotate  paused: storage is being replaced');
    expect((await schedule('resume', 'rotate')).code).toBe(0);
    expect(dataOf(await schedule('show', 'rotate', '--json'))).toMatchObject({ paused: false, catchUpMs: 3_600_000 });

    const signed = await schedule('approve', 'rotate', '--as', 'ada', '--reason', 'read it', '--yes', '--json');
    expect(signed.code).toBe(0);
    const { preApprovals } = dataOf(await schedule('show', 'rotate', '--json'));
    expect(preApprovals).toEqual(
      expect.arrayContaining([expect.objectContaining({ person: 'ada', hold: 'sign-drain', reason: 'read it' })]),
    );
    expect(told(await schedule('show', 'rotate'))).toContain('Signed in advance: ada, at sign-drain, plan sha256:');
    await schedule('approve', 'rotate', '--as', 'ada', '--withdraw');
    expect(dataOf(await schedule('show', 'rotate', '--json'))).toMatchObject({ preApprovals: [] });

    expect(dataOf(await schedule('preview', 'rotate', '--json'))).toMatchObject({ schedule: 'rotate', paused: false });
    const unasked = await schedule('delete', 'rotate');
    expect([unasked.code, told(unasked)]).toEqual([2, expect.stringContaining('Give --yes')]);
    expect((await schedule('delete', 'rotate', '--yes')).code).toBe(0);
    const gone = await schedule('show', 'rotate', '--json');
    expect([gone.code, gone.stdout]).toEqual([1, expect.stringContaining('schedule-unknown')]);
  });

  test('run-now starts an ordinary run, of whoever asks for it', async () => {
    const file = await put(environment, 'rotate.yaml', scheduleText(['calendar: night', 'ticket: { id: CHG-7 }']));
    await schedule('apply', '-f', file, '--yes');
    const outcome = await schedule('run-now', 'rotate', '--as', 'grace', '--yes', '--json');
    expect(outcome.code).toBe(0);
    const { run } = dataOf(outcome) as { run: string };
    const state = await environment.withHoldpoint((holdpoint) => holdpoint.state(run));
    expect(state).toMatchObject({ requester: 'grace', ticket: { id: 'CHG-7' } });
    expect(state.schedule).toBeUndefined();
    await environment.call(['abort', run, '--as', 'grace', '--reason', 'the test is over']);
  });
});
