/** A signature as it is counted: who has signed, and in whose place; mostly their own. */
export interface Claim {
  signer: string;
  authority: string;
}

/** Places for signatures: so many, each for one of those people. */
export interface Slots {
  count: number;
  people: ReadonlySet<string>;
}

/** The best that signatures come to. */
export interface Assignment {
  /** Whose places are filled, for each of the slots. */
  filled: string[][];
  /** How many places stay empty. */
  missing: number;
  /** The slots with empty places; `helpful` are the indexes of those of which one more person would let a place be filled. */
  open: { slot: number; empty: number; helpful: number[] }[];
}

/**
 * Fills as many places as signatures can fill, each signer and each authority once. It is a maximum flow from signers over authorities to
 * slots, so it is exact: where an assignment is there, it is found, whatever the order of the signatures.
 */
export function assign(claims: readonly Claim[], slots: readonly Slots[]): Assignment {
  const network = new Network();
  for (const { signer, authority } of claims) {
    network.allow('source', `signer ${signer}`, 1);
    network.allow(`signer ${signer}`, `for ${authority}`, 1);
    // An authority counts once, whoever signs for it.
    network.allow(`for ${authority}`, `authority ${authority}`, 1);
    for (const [slot, { people }] of slots.entries()) {
      if (people.has(authority)) network.allow(`authority ${authority}`, `slot ${slot}`, 1);
    }
  }
  for (const [slot, { count }] of slots.entries()) network.allow(`slot ${slot}`, 'sink', count);
  while (network.push('source', 'sink'));
  const authorities = [...new Set(claims.map(({ authority }) => authority))];
  const filled = slots.map((_, slot) => authorities.filter((person) => network.left(`slot ${slot}`, `authority ${person}`) > 0));
  const open = slots.flatMap(({ count }, slot) => {
    const empty = count - filled[slot]!.length;
    const helps = (other: number): boolean => network.wayBetween(`slot ${other}`, `slot ${slot}`) !== undefined;
    return empty > 0 ? [{ slot, empty, helpful: [...slots.keys()].filter(helps) }] : [];
  });
  return { filled, missing: open.reduce((sum, { empty }) => sum + empty, 0), open };
}

/** A flow network of whole numbers, which keeps what may still flow between each two nodes (its residual capacities). */
class Network {
  private readonly capacities = new Map<string, Map<string, number>>();

  /** Lets so much flow from one node to the next; said again, it changes nothing. */
  allow(from: string, to: string, most: number): void {
    this.out(from).set(to, most);
    this.out(to).set(from, 0);
  }

  /** What may still flow from one node to the next. */
  left(from: string, to: string): number {
    return this.capacities.get(from)?.get(to) ?? 0;
  }

  /** Pushes one unit along the shortest way; false where there is none left. */
  push(source: string, sink: string): boolean {
    const way = this.wayBetween(source, sink);
    for (const [index, to] of way?.entries() ?? []) {
      const from = index === 0 ? source : way![index - 1]!;
      this.out(from).set(to, this.left(from, to) - 1);
      this.out(to).set(from, this.left(to, from) + 1);
    }
    return way !== undefined;
  }

  /** The nodes of a shortest way along which something may still flow, without its first; undefined where there is none. */
  wayBetween(source: string, sink: string): string[] | undefined {
    const cameFrom = new Map<string, string | undefined>([[source, undefined]]);
    for (const node of cameFrom.keys()) {
      if (node === sink) break;
      // What has come to the end stays there.
      if (node === 'sink') continue;
      for (const [next, capacity] of this.out(node)) if (capacity > 0 && !cameFrom.has(next)) cameFrom.set(next, node);
    }
    if (!cameFrom.has(sink)) return undefined;
    const way: string[] = [];
    for (let node: string | undefined = sink; node !== undefined && node !== source; node = cameFrom.get(node)) way.unshift(node);
    return way;
  }

  private out(node: string): Map<string, number> {
    const known = this.capacities.get(node);
    if (known) return known;
    const made = new Map<string, number>();
    this.capacities.set(node, made);
    return made;
  }
}
