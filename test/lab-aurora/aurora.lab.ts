import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { perform, type Performance } from '../../activities/perform.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import type { TestCluster } from '../support/cluster.ts';
import { actionsWithProbe, contextOf, instances, startAurora, startIndependentClient, urlsOf } from './aurora-world.ts';
import { startPostgresqlServers, type PostgresqlServers } from '../../lab/postgresql.ts';

/** What a probe and another client may differ by. */
const differenceMaxMs = 50;
const measurementsMax = 3;
const performMaxMs = 60_000;

interface Outage {
  measured: boolean;
  writesRefusedMs: { atLeastMs: number; atMostMs: number };
  lostWrites: number | null;
  doubledWrites: number | null;
  sentences: string[];
}

let servers: PostgresqlServers;
let aurora: TestCluster | undefined;
let writer = 'demo-a';
beforeAll(async () => {
  servers = await startPostgresqlServers(instances);
});
afterAll(async () => {
  await aurora?.stop();
  await servers.end();
});

async function begin(speed: number): Promise<TestCluster> {
  await aurora?.stop();
  return (aurora = await startAurora(servers, writer, speed));
}

async function planOf(action: string, input: JsonObject): Promise<ActionPlan> {
  const plan = await actionsWithProbe().get(action)!.plan(input, contextOf('r-1'));
  expect(plan.blockers).toEqual([]);
  return plan;
}

async function carryOut(action: string, plan: ActionPlan, run: string, checkpoint: Json | undefined = undefined): Promise<Performance> {
  let kept = checkpoint;
  const context = contextOf(run);
  const signal = AbortSignal.timeout(performMaxMs);
  const surroundings = { onProgress: () => undefined, signal, wait: context.wait };
  const memory = { read: () => kept, write: (value: Json) => void (kept = value) };
  return perform(actionsWithProbe().get(action)!, plan, context, { ...surroundings, checkpoint: memory });
}

const outageOf = ({ outputs }: Performance): Outage => outputs.outage as unknown as Outage;

/** The rows of a table of which a client knows which it was promised. */
async function numbersIn(table: string): Promise<number[]> {
  const client = new pg.Client({ connectionString: urlsOf(servers).writer });
  await client.connect();
  const { rows } = await client.query<{ number: string }>(`select number from ${table} order by number`);
  await client.end();
  return rows.map(({ number }) => Number(number));
}

function other(name: string): string {
  return instances.find((instance) => instance !== name) ?? '';
}

describe('on real PostgreSQL', () => {
  test('a failover under 200 writes a second loses none, and its outage is as another client has it', async () => {
    // A core that something else takes for a moment lets one of the two come later than the other: then it is measured once more.
    const differencesMs: number[] = [];
    while (differencesMs.length < measurementsMax && !differencesMs.some((ms) => ms < differenceMaxMs)) {
      differencesMs.push(await failoverBeside(`r-2-${differencesMs.length}`));
    }
    expect(Math.min(...differencesMs)).toBeLessThan(differenceMaxMs);
  });

  /** A failover beside another client; none of its writes is lost. Gives by how much the two outages differ. */
  async function failoverBeside(run: string): Promise<number> {
    const { sandbox } = await begin(10);
    const to = other(writer);
    const plan = await planOf('rds.failover', { writer, to });
    const stopClient = await startIndependentClient(urlsOf(servers).writer, 200);
    const performed = await carryOut('rds.failover', plan, run);
    const { acknowledged, longestGap } = await stopClient();
    const outage = outageOf(performed);
    writer = to;

    const [database] = sandbox.world.databases;
    expect({ failovers: database!.failovers.length, writer: database!.writer, trouble: database!.serverTrouble }).toEqual({
      failovers: 1,
      writer: to,
      trouble: undefined,
    });
    const there = new Set(await numbersIn('written'));
    expect(acknowledged.length).toBeGreaterThan(300);
    expect(acknowledged.filter((number) => !there.has(number))).toEqual([]);
    expect(outage).toMatchObject({ measured: true, lostWrites: 0, doubledWrites: 0 });
    process.stderr.write(`outage: probe ${outage.writesRefusedMs.atMostMs} ms, other client ${longestGap.ms.toFixed(0)} ms\n`);
    // Nothing is left of the probe but its table, and its password is nowhere.
    expect(await numbersIn('holdpoint_heartbeat')).toEqual([]);
    expect(JSON.stringify([plan, performed])).not.toContain(servers.password);
    return Math.abs(outage.writesRefusedMs.atMostMs - longestGap.ms);
  }

  test('a worker that is killed in the middle leaves an outage with bounds, and one failover', async () => {
    const { sandbox } = await begin(10);
    const to = other(writer);
    const plan = await planOf('rds.failover', { writer, to });
    const program = fileURLToPath(new URL('action-main.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', program, JSON.stringify(plan), 'r-3'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'close');
    let checkpoint: Json | undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      const told = JSON.parse(line) as { checkpoint?: Json; summary?: string };
      if (told.checkpoint !== undefined) checkpoint = told.checkpoint;
      if (told.summary?.includes('writes refused')) child.kill('SIGKILL');
    }
    await ended;
    expect(child.signalCode).toBe('SIGKILL');
    const outage = outageOf(await carryOut('rds.failover', plan, 'r-3', checkpoint));
    writer = to;

    expect(sandbox.world.databases[0]!.failovers).toHaveLength(1);
    expect(outage).toMatchObject({ measured: true, lostWrites: 0, doubledWrites: 0 });
    const { atLeastMs, atMostMs } = outage.writesRefusedMs;
    expect(atMostMs).toBeGreaterThan(atLeastMs);
    expect(outage.sentences.join('\n')).toMatch(/The probe did not look from \S+ to \S+\./);
  });

  test('a change of all classes keeps a reader at every moment', async () => {
    const { sandbox } = await begin(200);
    const [database] = sandbox.world.databases;
    const least = { readers: Infinity };
    const look = setInterval(() => (least.readers = Math.min(least.readers, servers.readersRunning())), 5);
    const [first = '', second = ''] = instances.filter((name) => name !== writer);
    const modify = async (instance: string): Promise<void> => {
      const plan = await planOf('rds.modifyInstance', { instance, instanceClass: 'db.r6g.xlarge', otherReadersMin: 1 });
      await carryOut('rds.modifyInstance', plan, `r-${instance}`);
    };
    await modify(first);
    await modify(second);
    const before = writer;
    // A URL that leads to no writer is no reason not to fail over: the outage is told as not measured.
    process.env.HOLDPOINT_TEST_WRITER_URL = urlsOf(servers).writer.replace(`:${servers.writerPort}/`, `:${servers.portOf(second)}/`);
    const performed = await carryOut('rds.failover', await planOf('rds.failover', { writer, to: first }), 'r-4');
    expect(outageOf(performed)).toEqual({ measured: false, reason: 'server is read-only' });
    expect(performed.summary).toContain('outage not measured: server is read-only');
    writer = first;
    await modify(before);
    clearInterval(look);
    expect(least.readers).toBe(1);
    expect(database!.instances.map(({ instanceClass }) => instanceClass)).toEqual(instances.map(() => 'db.r6g.xlarge'));
    expect(database!.serverTrouble).toBeUndefined();
  });
});
