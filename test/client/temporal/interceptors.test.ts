import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { Connection } from '@temporalio/client';
import { interceptors } from '../../../client/temporal/interceptors.ts';

/** More than one pause of the SDK before it tries again. */
const limitMs = 30_000;

test(
  'a call that is tried again after its connection was closed is cancelled, and the process lives on',
  async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const connection = Connection.lazy({ address, interceptors });
    try {
      // The server ends each connection, which is a reason to try again; the first pause is not over yet.
      const refused = once(server, 'connection');
      const call = connection.withDeadline(Date.now() + limitMs, () => connection.workflowService.getSystemInfo({}));
      const outcome = expect(call).rejects.toMatchObject({ code: 1, details: expect.stringContaining('has been shut down') });
      await refused;
      await connection.close();
      await outcome;
    } finally {
      server.close();
    }
  },
  limitMs,
);
