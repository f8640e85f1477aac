import { test } from '@jest/globals';

/** Tests of a file that mostly wait: `begin` has them begun side by side, before their turns. */
export class TestsBeside {
  private readonly works: (() => Promise<void>)[] = [];
  private readonly atOnceMax: number;
  private outcomes: Promise<void>[] = [];

  /** @param atOnceMax more of them would keep each other busy past the times that they wait for. */
  constructor(atOnceMax: number) {
    this.atOnceMax = atOnceMax;
  }

  test(title: string, work: () => Promise<void>, limitMs?: number): void {
    const place = this.works.push(work) - 1;
    test(title, () => this.outcomes[place], limitMs);
  }

  begin(): void {
    this.outcomes = inTurns(this.works, this.atOnceMax, (work) => work());
  }
}

/**
 * Works on all items in their order, so many at a time, and gives the promise of each one's result at once: tests that look at one of
 * them each need not wait for each other. What fails is thrown where its promise is awaited.
 */
export function inTurns<Item, Result>(items: readonly Item[], atOnceMax: number, work: (item: Item) => Promise<Result>): Promise<Result>[] {
  const waiting: (() => void)[] = [];
  let begun = 0;
  const turn = async (): Promise<void> => {
    if (begun >= atOnceMax) await new Promise<void>((resolve) => waiting.push(resolve));
    begun += 1;
  };
  const results = items.map(async (item) => {
    await turn();
    try {
      return await work(item);
    } finally {
      begun -= 1;
      waiting.shift()?.();
    }
  });
  for (const result of results) result.catch(() => undefined);
  return results;
}
