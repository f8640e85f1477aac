import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import type { Client } from '@temporalio/client';
import type { TemporalSettings } from '../../client/connection.ts';
import type { Answer, Order } from './stranger-workflows.ts';

/** Somebody who reaches Temporal, has no key, and runs a worker of their own on a queue of their own. */
export interface Stranger {
  /** Has a workflow of that type and id order activities from the queue of ours; returns what was answered. */
  order(orders: readonly Omit<Order, 'queue'>[], as?: { workflowType?: string; workflowId?: string }): Promise<Answer[]>;
  /** Starts a workflow that continues as a run of ours, with those arguments. */
  changeInto(workflowId: string, args: readonly unknown[]): Promise<void>;
  stop(): Promise<void>;
}

export async function startStranger(client: Client, { address, taskQueue }: TemporalSettings): Promise<Stranger> {
  const connection = await NativeConnection.connect({ address });
  const own = `stranger-${randomUUID()}`;
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('stranger-workflows.ts', import.meta.url)),
    logger: new DefaultLogger('ERROR'),
  });
  const worker = await Worker.create({ connection, taskQueue: own, workflowBundle });
  const running = worker.run();
  return {
    order: async (orders, { workflowType = 'stranger', workflowId = randomUUID() } = {}) => {
      const args = [orders.map((order) => ({ ...order, queue: taskQueue }))];
      return (await client.workflow.execute(workflowType, { workflowId, taskQueue: own, args })) as Answer[];
    },
    changeInto: async (workflowId, args) => {
      await client.workflow.start('changeling', { workflowId, taskQueue: own, args: [taskQueue, args] });
    },
    stop: async () => {
      worker.shutdown();
      await running;
      await connection.close();
    },
  };
}
