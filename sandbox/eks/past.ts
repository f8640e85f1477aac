import type { Account } from './account.ts';

/** How many earlier states of an account are kept. */
const statesMax = 64;

/** Simulated time between two states that are kept because somebody read; before a write one is kept in any case. */
const betweenReadsMs = 1_000;

/** Earlier states of an account, for answers that lag behind. */
export class Past {
  private readonly account: Account;
  private readonly states: { atMs: number; account: Account }[] = [];

  constructor(account: Account) {
    this.account = account;
  }

  /** Keeps the state before a request. */
  keep({ reads }: { reads: boolean }): void {
    const atMs = this.nowMs();
    const newest = this.states.at(-1);
    if (reads && newest && atMs - newest.atMs < betweenReadsMs) return;
    this.states.push({ atMs, account: this.account.copy() });
    if (this.states.length > statesMax) this.states.shift();
  }

  /** The oldest state that is known of the last so many simulated milliseconds; at most as old as that. */
  accountOfLast(ageMs: number): Account {
    const since = this.nowMs() - ageMs;
    return this.states.find(({ atMs }) => atMs >= since)?.account ?? this.account;
  }

  private nowMs(): number {
    return this.account.world.clock.now().getTime();
  }
}
