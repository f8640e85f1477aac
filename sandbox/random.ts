/** A seeded stream of random numbers (mulberry32): the only source of chance in the sandbox. */
export class Random {
  private readonly seed: number;
  private state: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.state = this.seed;
  }

  /** A stream of its own for a part of the world, so that one part's draws do not shift those of another. */
  stream(name: string): Random {
    let hash = this.seed ^ 0x811c_9dc5;
    for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x0100_0193);
    return new Random(hash);
  }

  /** At least 0 and less than 1. */
  next(): number {
    this.state = (this.state + 0x6d2b_79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** At least `low` and less than `high`. */
  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  /** A whole number, at least 0 and less than `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** A text of `length` characters of an alphabet (hexadecimal digits unless told). */
  text(length: number, alphabet = '0123456789abcdef'): string {
    let text = '';
    for (let index = 0; index < length; index++) text += alphabet[this.below(alphabet.length)];
    return text;
  }

  /** A random (version 4) UUID. */
  uuid(): string {
    const variant = this.text(1, '89ab');
    return `${this.text(8)}-${this.text(4)}-4${this.text(3)}-${variant}${this.text(3)}-${this.text(12)}`;
  }
}
