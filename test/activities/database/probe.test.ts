import { afterEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasPassword, readAddress } from '../../../activities/database/address.ts';
import { OutageProbe } from '../../../activities/database/probe.ts';
import { DatabaseTrouble, type Connect } from '../../../activities/database/session.ts';
import type { Json } from '../../../domain/json.ts';

/** A database that is played: what it does can be changed at any moment. */
class PlayedDatabase {
  server = 'a';
  trouble: DatabaseTrouble | undefined;
  /** Statements get no answer. */
  isSilent = false;
  /** Rows are written and no answer comes. */
  losesAnswers = false;
  open = 0;
  openMost = 0;
  readonly rows: { probe: string; number: number }[] = [];

  readonly connect: Connect = async (timeoutMs) => {
    if (this.trouble) throw this.trouble;
    this.open += 1;
    this.openMost = Math.max(this.openMost, this.open);
    const { server } = this;
    const answered = async (): Promise<void> => {
      if (this.isSilent) {
        await new Promise((resolve) => setTimeout(resolve, timeoutMs));
        throw new DatabaseTrouble('no answer in time', true);
      }
      if (server !== this.server) throw new DatabaseTrouble('server is read-only', false);
      if (this.trouble) throw this.trouble;
    };
    return {
      server,
      prepare: answered,
      read: answered,
      write: async (probe, number) => {
        await answered();
        this.rows.push({ probe, number });
        if (this.losesAnswers) throw new DatabaseTrouble('connection cut', true);
      },
      rows: async (probe, after) => {
        const numbers = this.rows.filter((row) => row.probe === probe && row.number > after).map(({ number }) => number);
        return [...new Set(numbers)]
          .sort((one, other) => one - other)
          .map((number) => ({ number, count: numbers.filter((one) => one === number).length }));
      },
      removeRows: async (probe) => void this.rows.splice(0, this.rows.length, ...this.rows.filter((row) => row.probe !== probe)),
      close: () => void (this.open -= 1),
    };
  };
}

const address = readAddress('postgresql://app:hunter2@db.example.test/orders');
let probe: OutageProbe | undefined;
afterEach(async () => {
  await probe?.stop({ keepRows: true });
  probe = undefined;
});

async function start(database: PlayedDatabase, options: { earlier?: Json; lookUp?: () => Promise<string[]> } = {}): Promise<OutageProbe> {
  const { earlier, lookUp = async () => ['10.0.0.1'] } = options;
  return (probe = await OutageProbe.start({
    id: 'p',
    writer: address,
    writesPerSecond: 200,
    connector: () => database.connect,
    lookUp,
    earlier,
  }));
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const endsAtMs = performance.now() + 5_000;
  while (!isSo()) {
    if (performance.now() > endsAtMs) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe('a probe', () => {
  test('sees the writer move, connects anew, and finds the connection that stays behind', async () => {
    const database = new PlayedDatabase();
    const started = await start(database);
    await until('writes', () => started.report().writes.accepted > 3);
    database.trouble = new DatabaseTrouble('connection refused', false);
    await until('refusals', () => started.report().writes.refused > 3);
    database.trouble = undefined;
    database.server = 'b';
    await until('writes to b', () => started.report().writes.lastAccepted?.server === 'b');
    await until('the held connection', () => started.report().held?.refusedFromMs !== null);
    const { writes, held, rowsCheck } = await started.stop();
    expect(writes.outages).toMatchObject([{ from: 'a', to: 'b', reasons: { 'connection refused': expect.any(Number) } }]);
    expect(held).toMatchObject({ server: 'a', lastAnswer: 'server is read-only', cutMs: null });
    expect(rowsCheck).toMatchObject({ lost: 0, doubled: 0, isComplete: true });
    await started.removeRows();
    expect({ rows: database.rows.length, open: database.open }).toEqual({ rows: 0, open: 0 });
  });

  test('tells lost and doubled writes, and those that were written without an answer', async () => {
    const database = new PlayedDatabase();
    const started = await start(database);
    await until('writes', () => started.report().writes.accepted > 5);
    database.losesAnswers = true;
    await until('lost answers', () => started.report().writes.unanswered > 1);
    database.losesAnswers = false;
    const own = database.rows.filter(({ probe: id }) => id === 'p');
    database.rows.splice(database.rows.indexOf(own[1]!), 1, own[2]!);
    const { rowsCheck, writes } = await started.stop();
    expect(rowsCheck).toMatchObject({ lost: 1, doubled: 1, numbers: { lost: [own[1]!.number], doubled: [own[2]!.number] } });
    expect(rowsCheck!.writtenUnanswered).toBeGreaterThanOrEqual(writes.unanswered);
  });

  test('goes on sending while nothing is answered, over few connections', async () => {
    const database = new PlayedDatabase();
    const started = await start(database);
    await until('writes', () => started.report().writes.accepted > 3);
    database.isSilent = true;
    await until('connections', () => database.open > 4);
    database.isSilent = false;
    const before = started.report().writes.accepted;
    await until('writes again', () => started.report().writes.accepted > before);
    expect(database.openMost).toBeLessThan(25);
  });

  test('goes on from what a killed one has left, and says what it did not see', async () => {
    const database = new PlayedDatabase();
    const first = await start(database);
    await until('writes', () => first.report().writes.accepted > 3);
    const left = JSON.parse(JSON.stringify(first.state())) as Json;
    await until('writes that nobody remembers', () => first.report().writes.accepted > 8);
    await first.stop({ keepRows: true });
    database.server = 'b';
    const second = await start(database, { earlier: left });
    await until('writes to b', () => second.report().writes.lastAccepted?.server === 'b');
    const { writes, rowsCheck } = await second.stop();
    expect(writes.unseen).toHaveLength(1);
    expect(writes.outages).toMatchObject([{ from: 'a', to: 'b', failures: 0 }]);
    expect(rowsCheck).toMatchObject({ lost: 0, doubled: 0 });
    expect(JSON.stringify(second.state()).length).toBeLessThan(16 * 1024);
  });

  test('sees that the name leads elsewhere', async () => {
    let led = ['10.0.0.1'];
    const started = await start(new PlayedDatabase(), { lookUp: async () => led });
    led = ['10.0.0.2'];
    await until('the change', () => started.report().addressChanges.length > 0);
    expect(started.report().addressChanges).toMatchObject([{ host: 'db.example.test', from: ['10.0.0.1'], to: ['10.0.0.2'] }]);
  });

  test('does not begin where nothing can be written', async () => {
    const database = new PlayedDatabase();
    database.trouble = new DatabaseTrouble('password refused', false);
    await expect(start(database)).rejects.toThrow('password refused');
    expect(database.open).toBe(0);
  });
});

describe('the address of a database', () => {
  test('is read with its defaults, and TLS is verified but for this machine', () => {
    expect(address).toMatchObject({
      engine: 'postgresql',
      port: 5432,
      password: 'hunter2',
      tls: { rejectUnauthorized: true, servername: 'db.example.test' },
    });
    expect(readAddress('mysql://app@127.0.0.1/shop', 'x')).toMatchObject({ engine: 'mysql', port: 3306, password: 'x', tls: undefined });
    expect(readAddress('postgres://a@db:1/x?sslmode=require').tls).toEqual({ rejectUnauthorized: false });
    const folder = mkdtempSync(join(tmpdir(), 'holdpoint-address-'));
    const file = join(folder, 'ca.pem');
    writeFileSync(file, 'PEM');
    expect(readAddress(`postgresql://a@db/x?sslrootcert=${file}`).tls).toMatchObject({ ca: 'PEM', rejectUnauthorized: true });
    rmSync(folder, { recursive: true });
    expect(hasPassword('postgresql://a:b@db/x')).toBe(true);
  });

  test.each([
    ['hunter2', 'no URL'],
    ['https://a:hunter2@db/x', 'neither with postgresql://'],
    ['postgresql://a:hunter2@db', 'names no database'],
    ['postgresql://:hunter2@db/x', 'names no user'],
    ['postgresql://a:hunter2@db/x?sslmode=prefer', 'sslmode that is not known'],
    ['postgresql://a:hunter2@db/x?options=-c', 'a setting that is not known: options'],
    ['postgresql://a:hunter2@db/x?sslrootcert=/nowhere.pem', 'there is no such file'],
  ])('%s is refused, without a word of the password', (text, reason) => {
    let message = '';
    try {
      readAddress(text);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(reason);
    expect(message).not.toContain('hunter2');
  });
});
