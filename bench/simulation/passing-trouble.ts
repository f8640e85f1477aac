/** Trouble that somebody makes, and that passes by itself: each kind once at a time. */
export class PassingTrouble {
  private readonly passing = new Map<string, () => void>();

  /** Begins it, unless it goes on already, and ends it after a while. Returns whether it was begun. */
  begin(name: string, forMs: number, { begin, end }: { begin: () => void; end: () => void }): boolean {
    if (this.passing.has(name)) return false;
    begin();
    const timer = setTimeout(() => this.passing.get(name)?.(), forMs);
    this.passing.set(name, () => {
      clearTimeout(timer);
      this.passing.delete(name);
      end();
    });
    return true;
  }

  /** Ends at once what has not passed yet. */
  stop(): void {
    for (const end of this.passing.values()) end();
  }
}
