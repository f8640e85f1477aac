import { condition, defineQuery, defineUpdate, proxyActivities, setHandler, upsertMemo } from '@temporalio/workflow';

export const sayUpdate = defineUpdate<string, [string]>('say');
export const countQuery = defineQuery<number>('count');

/** Goes on when its activity has ended, and waits for a word: see test/workflows/early-events.test.ts. */
export async function askedEarly(activityQueue: string): Promise<string[]> {
  const { work } = proxyActivities<{ work(): Promise<string> }>({ taskQueue: activityQueue, startToCloseTimeout: '60 s' });
  const said: string[] = [];
  setHandler(sayUpdate, async (word) => {
    said.push(word);
    await condition(() => said.length > 1);
    return word;
  });
  setHandler(countQuery, () => said.length);
  said.push(await work());
  upsertMemo({ isDone: true });
  await condition(() => said.length > 1);
  return said;
}
