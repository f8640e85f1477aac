// Writes numbered rows as fast as it is told, over one connection that it makes anew when something fails, and remembers which of them
// were acknowledged and when. It knows nothing of the probe. When its stdin ends it prints all that as JSON.
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

const [url, rate] = [process.env.CLIENT_URL, Number(process.env.CLIENT_RATE)];
const intervalMs = 1_000 / rate;
const timeoutMs = 1_000;
const acknowledged = [];
let longestGap = { ms: 0, fromMs: 0, toMs: 0 };
let lastMs = 0;
let client;
let isOver = false;
process.stdin.on('end', () => (isOver = true)).resume();

async function connected() {
  if (client) return client;
  const made = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs });
  made.on('error', () => undefined);
  await made.connect();
  return (client = made);
}

await (await connected()).query('drop table if exists written; create table written (number bigint primary key)');
process.stdout.write('writing\n');
const beganMs = performance.now();
for (let number = 1; !isOver; number += 1) {
  const dueMs = beganMs + number * intervalMs;
  if (dueMs > performance.now()) await pause(dueMs - performance.now());
  try {
    await (await connected()).query('insert into written values ($1)', [number]);
    const nowMs = performance.timeOrigin + performance.now();
    if (lastMs > 0 && nowMs - lastMs > longestGap.ms) longestGap = { ms: nowMs - lastMs, fromMs: lastMs, toMs: nowMs };
    lastMs = nowMs;
    acknowledged.push(number);
  } catch {
    client?.end().catch(() => undefined);
    client = undefined;
    await pause(intervalMs);
  }
}
await client?.end().catch(() => undefined);
process.stdout.write(`${JSON.stringify({ acknowledged, longestGap })}\n`, () => process.exit(0));
