import { expect, test } from '@jest/globals';
import { rememberSecret } from '../../activities/secrets.ts';
import { createLog } from '../../worker/log.ts';

test('a line of the log is JSON that no terminal obeys, and in which no credential is', () => {
  const lines: string[] = [];
  const { log, temporalLogger } = createLog('info', { write: (line) => lines.push(line) });
  const hostile = 'n\u009b2J\u202e\u200b\u2028\u001b]0;gotcha\u0007\n{"level":30}';
  rememberSecret('a-token-that-was-sent');
  log.warn({ err: new Error(`${hostile} a-token-that-was-sent`) }, hostile);
  temporalLogger.error(hostile, { node: hostile, header: 'Bearer a-token-that-was-sent' });
  log.debug('not asked for');
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    expect(line).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+\n$/u);
    expect(line).not.toContain('a-token-that-was-sent');
  }
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(first).toMatchObject({ level: 40, name: 'holdpoint-worker', msg: hostile, err: { message: `${hostile} (left out)` } });
  expect(second).toMatchObject({ level: 50, msg: hostile, node: hostile });
});
