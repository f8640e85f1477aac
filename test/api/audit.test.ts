import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { auditLinesPerMinute, AuditLog, openAuditFile, readAudit } from '../../api/audit.ts';
import { Sessions, sessionIdleMs, sessionLastsMs } from '../../api/sessions.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-audit-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const attempt = { code: 'session-missing', method: 'GET', route: '/api/v1/me', address: '127.0.0.1' };

test('an audit file is gone on with after a restart, also where its last line was cut off', async () => {
  const path = join(directory, 'cut.jsonl');
  const log = await openAuditFile(path);
  await Promise.all([log.note(attempt), log.note(attempt)]);
  await log.close();
  await appendFile(path, '{"code":"cut');
  const again = await openAuditFile(path);
  await again.note({ ...attempt, who: 'ada' });
  await again.close();
  const { lines, problem } = readAudit(await readFile(path, 'utf8'));
  expect(problem).toBeUndefined();
  expect(lines.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
});

test('an audit file that was changed is not gone on with', async () => {
  const path = join(directory, 'changed.jsonl');
  const log = await openAuditFile(path);
  await log.note(attempt);
  await log.close();
  await writeFile(path, (await readFile(path, 'utf8')).replace('127.0.0.1', '127.0.0.2'));
  await expect(openAuditFile(path)).rejects.toThrow('was changed: line 1');
});

test('a flood is counted, and not written down', async () => {
  const lines: string[] = [];
  const clock = { nowMs: 0 };
  const log = new AuditLog(
    async (line) => void lines.push(line),
    () => clock.nowMs,
  );
  for (let count = 0; count < auditLinesPerMinute + 5; count += 1) await log.note(attempt);
  expect(lines).toHaveLength(auditLinesPerMinute);
  clock.nowMs += 60_000;
  await log.note(attempt);
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ unwritten: 5 });
  expect(readAudit(lines.join('\n')).problem).toBeUndefined();
});

test('a session ends when it is idle or old, and a person has so many and no more', () => {
  const clock = { nowMs: 0 };
  const sessions = new Sessions(() => clock.nowMs);
  const who = { issuer: 'https://idp.example.com', subject: 's', name: 'n', groups: ['a'] };
  const token = sessions.begin(who);
  expect(token).toMatch(/^[\w-]{43}$/);
  const uses = Math.ceil(sessionLastsMs / (sessionIdleMs - 1));
  for (let count = 1; count < uses; count += 1) {
    clock.nowMs += sessionIdleMs - 1;
    expect([count, sessions.find(token, { used: true }) !== undefined]).toEqual([count, true]);
  }
  clock.nowMs = sessionLastsMs;
  expect(sessions.find(token, { used: true })).toBeUndefined();
  const idle = sessions.begin(who);
  clock.nowMs += sessionIdleMs;
  expect(sessions.find(idle, { used: false })).toBeUndefined();
  const tokens = Array.from({ length: 21 }, () => sessions.begin(who));
  expect(tokens.map((one) => sessions.find(one, { used: false }) !== undefined)).toEqual([false, ...Array<boolean>(20).fill(true)]);
});
