import { condition, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';

/** A workflow of a stranger, of the type of runs: says of itself whatever it was told to say, and keeps what is signed for it. */
export async function runbook(state: unknown): Promise<void> {
  const signed: unknown[] = [];
  setHandler(defineQuery('state'), () => state);
  setHandler(defineQuery('signed'), () => signed);
  setHandler(defineUpdate<object, [unknown]>('decide'), (request: unknown) => {
    signed.push(request);
    return { state: 'approved', missing: 0 };
  });
  await condition(() => false);
}
