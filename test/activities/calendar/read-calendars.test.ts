import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readCalendars, type CalendarsNow } from '../../../activities/calendar/read-calendars.ts';
import type { FreezeDefinition } from '../../../domain/calendar/definition.ts';

const freezeOfDecember = [
  'BEGIN:VCALENDAR',
  'BEGIN:VEVENT',
  'UID:1',
  'SUMMARY:sale',
  'DTSTART;VALUE=DATE:20261205',
  'DTEND;VALUE=DATE:20261207',
  'END:VEVENT',
  'END:VCALENDAR',
].join('\r\n');
/** Within the freeze, and a week later; a Saturday at 23:00 of Seoul. */
const [frozenMs, laterMs] = [Date.parse('2026-12-05T14:00:00Z'), Date.parse('2026-12-12T14:00:00Z')];
const startMs = Date.parse('2026-11-28T00:00:00Z');
const place = { file: 'h.yaml', line: 9, column: 5, path: 'calendars.weekend.freezes[0].ical' };

let folder: string;
let server: Server;
let answer: RequestListener;
let asked: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'calendars-'));
  asked = 0;
  server = createServer((request, response) => {
    asked += 1;
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/freezes.ics`;

function read(freeze: FreezeDefinition, nowMs = startMs): Promise<CalendarsNow> {
  const dst = { gap: 'shift', overlap: 'first' } as const;
  const weekend = { zone: 'Asia/Seoul', weekly: ['Sat,Sun 22:00-04:00'], dst, freezes: [freeze] };
  return readCalendars({ weekend }, { file: join(folder, 'holdpoint.yaml'), copiesFolder: join(folder, 'copies'), nowMs });
}

const openAt = ({ calendars }: CalendarsNow, atMs: number): boolean => calendars.get('weekend')!.isOpen(atMs);

describe('an iCal file', () => {
  test('is found beside holdpoint.yaml, and its events are freezes', async () => {
    await writeFile(join(folder, 'f.ics'), freezeOfDecember);
    const now = await read({ ical: './f.ics', place });
    expect([now.problems, openAt(now, frozenMs), openAt(now, laterMs)]).toEqual([[], false, true]);
  });

  test.each([
    ['of 5 MB', 'x'.repeat(5 * 1024 * 1024), 'f.ics:1 has 5242880 bytes; at most 1048576 characters are read.'],
    ['that is torn', 'BEGIN:VCALENDAR\r\nhello\r\n', 'f.ics:2 cannot be read: invalid line (no token ";" or ":") "hello".'],
    ['that is not there', undefined, 'f.ics cannot be read: there is no such file.'],
  ])('%s is a freeze for ever, and is told with file, line and path', async (_what, text, why) => {
    if (text !== undefined) await writeFile(join(folder, 'f.ics'), text);
    const now = await read({ ical: 'f.ics', place });
    expect(now.problems).toEqual([{ ...place, message: join(folder, why) }]);
    expect([frozenMs, laterMs].map((atMs) => openAt(now, atMs))).toEqual([false, false]);
  });
});

describe('an address', () => {
  test('is asked once a minute, and its last good copy counts when it is gone, with its age', async () => {
    answer = (_request, response) => response.end(freezeOfDecember);
    const first = await read({ url: url(), place });
    expect([first.copies, openAt(first, frozenMs), openAt(first, laterMs)]).toEqual([[{ url: url(), readMs: startMs }], false, true]);
    await read({ url: url(), place }, startMs + 59_000);
    expect(asked).toBe(1);
    answer = (_request, response) => response.writeHead(503).end();
    const gone = await read({ url: url(), place }, startMs + 86_400_000);
    expect(gone.copies).toEqual([{ url: url(), readMs: startMs, trouble: 'it answered 503' }]);
    expect([openAt(gone, frozenMs), openAt(gone, laterMs)]).toEqual([false, true]);
    answer = (_request, response) => response.end('BEGIN:VCALENDAR\r\nEND:VCALENDAR');
    expect(openAt(await read({ url: url(), place }, startMs + 2 * 86_400_000), frozenMs)).toBe(true);
  });

  test.each<[string, RequestListener, RegExp]>([
    ['answers with an error', (_request, response) => response.writeHead(500).end(), /it answered 500/],
    ['answers with a page', (_request, response) => response.end('<html>'), /line 1 is no iCal file/],
    ['leads elsewhere', (_request, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), /redirect/],
    [
      'sends without an end',
      (_request, response) => response.end(`BEGIN:VCALENDAR\r\n${'x'.repeat(2 * 1024 * 1024)}`),
      /has more than 1048576 characters/,
    ],
    ['hangs up', (request) => request.socket.destroy(), /./],
  ])('that %s and has no good copy is a freeze', async (_what, listener, why) => {
    answer = listener;
    const now = await read({ url: url(), place });
    expect(now.copies[0]?.trouble).toMatch(why);
    expect(now.calendars.get('weekend')!.explain(laterMs)).toMatchObject({ state: 'frozen', next: undefined });
  });

  test('whose copy is torn has none', async () => {
    answer = (_request, response) => response.end(freezeOfDecember);
    await read({ url: url(), place });
    const { createHash } = await import('node:crypto');
    await writeFile(join(folder, 'copies', `${createHash('sha256').update(url()).digest('hex')}.ics`), '{');
    answer = (request) => request.socket.destroy();
    expect(openAt(await read({ url: url(), place }, startMs + 86_400_000), laterMs)).toBe(false);
  });
});
