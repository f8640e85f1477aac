import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { probeByHand } from '../../activities/database/by-hand.ts';
import type { OutageProbe } from '../../activities/database/probe.ts';
import { programCommand } from '../../cli/program-files.ts';
import { findMariadb, startMariadb } from './mariadb-server.ts';
import { startPostgresqlServers } from '../../lab/postgresql.ts';

const writesPerSecond = 100;

async function until(what: string, isSo: () => boolean): Promise<void> {
  const endsAtMs = performance.now() + 30_000;
  while (!isSo()) {
    if (performance.now() > endsAtMs) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const untilAccepted = async (probe: OutageProbe): Promise<void> => {
  const { accepted } = probe.report().writes;
  await until('accepted writes', () => probe.report().writes.open === null && probe.report().writes.accepted > accepted + 5);
};

test('holdpoint probe tells on a real PostgreSQL how long writes were refused, and its password to nobody', async () => {
  const servers = await startPostgresqlServers(['one']);
  try {
    const url = `postgresql://${servers.user}@127.0.0.1:${servers.writerPort}/${servers.database}`;
    const { command, args } = programCommand('cli/main');
    const env = { ...process.env, PGPASSWORD: servers.password };
    const child = spawn(command, [...args, 'probe', url, '--rate', '50', '--for', '4s', '--json'], { env, stdio: 'pipe' });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const ended = once(child, 'close');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await servers.stop('one');
    await servers.start('one');
    await ended;
    expect(child.exitCode).toBe(6);
    expect(JSON.parse(output)).toMatchObject({
      writes: { server: 'one', outages: [{ from: 'one', to: 'one', failures: expect.any(Number) }] },
      rows: { lost: 0, doubled: 0 },
    });
    expect(output).not.toContain(servers.password);

    const wrong = await probeByHand({ writer: url, password: 'hunter2', writesPerSecond }).catch((error: unknown) => error as Error);
    expect(wrong).toMatchObject({
      code: 'database-unwritable',
      message: expect.stringMatching(/takes no writes of postgres: password refused\./),
    });
  } finally {
    await servers.end();
  }
});

test('a probe measures a MariaDB that is read-only, and one that was killed', async () => {
  const program = await findMariadb();
  if (program === undefined) {
    process.stderr.write('NOT TESTED on MariaDB, as mariadbd is not installed: apt-get install mariadb-server-core\n');
    return;
  }
  const server = await startMariadb(program);
  try {
    const url = `mysql://${server.user}@127.0.0.1:${server.port}/${server.database}`;
    const probe = await probeByHand({ writer: url, reader: url, password: server.password, writesPerSecond });
    await untilAccepted(probe);
    await server.setReadOnly(true);
    await until('refused writes', () => probe.report().writes.refused > 3);
    await server.setReadOnly(false);
    await untilAccepted(probe);
    expect(probe.report().writes.outages).toMatchObject([{ reasons: { 'server is read-only': expect.any(Number) } }]);
    expect(probe.report().reads?.outages).toEqual([]);
    await server.restart();
    await untilAccepted(probe);
    const { writes, reads, rowsCheck } = await probe.stop();
    expect(Object.keys(writes.outages[1]?.reasons ?? {})).toContain('connection refused');
    expect(reads?.outages).toHaveLength(1);
    expect(rowsCheck).toMatchObject({ lost: 0, doubled: 0 });
    await probe.removeRows();

    const wrong = await probeByHand({ writer: url, password: 'hunter2', writesPerSecond }).catch((error: unknown) => error as Error);
    expect(wrong).toMatchObject({ code: 'database-unwritable', message: expect.stringContaining('password refused') });
  } finally {
    await server.end();
  }
});
