import { RawValue } from '@temporalio/common';
import { workflowInfo, type WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { answerMark } from '../domain/evidence/evidence.ts';

/**
 * Runs inside of every workflow, bundled with it: marks what answers a client, so that it does not go to the evidence store
 * however large it is. Answers are the results of queries and updates, and the result of a workflow that no other one waits for.
 */
export const interceptors: WorkflowInterceptorsFactory = () => ({
  inbound: [
    {
      handleQuery: async (input, next) => answer(await next(input)),
      handleUpdate: async (input, next) => answer(await next(input)),
      execute: async (input, next) => {
        const result = await next(input);
        return workflowInfo().parent === undefined ? answer(result) : result;
      },
    },
  ],
});

function answer(value: unknown): RawValue {
  const { payload } = new RawValue(value);
  return RawValue.fromPayload({ ...payload, metadata: { ...payload.metadata, [answerMark]: new Uint8Array([1]) } });
}
