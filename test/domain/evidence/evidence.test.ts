import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  chain,
  evidenceBodyBytesMax,
  evidenceLineBytesMax,
  keptProblemOf,
  keptValuesOf,
  lineOf,
  payloadSizeMax,
  splitBody,
  verifyChain,
  type EvidenceEntry,
} from '../../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { digestOf } from '../../../domain/plan/plan.ts';
import { unseenIn } from '../../../domain/visible.ts';

const run = 'r-20261121-7kq2m';
const at = '2026-11-21T10:00:00.000Z';

function chainOf(bodies: readonly JsonObject[], of = run): EvidenceEntry[] {
  const entries: EvidenceEntry[] = [];
  for (const [index, body] of bodies.entries()) {
    const kind = index === 0 ? 'run.started' : index === bodies.length - 1 ? 'run.ended' : 'step.performed';
    entries.push(chain(entries.at(-1), { run: of, at, kind, body }));
  }
  return entries;
}

function textOf(lines: readonly (EvidenceEntry | string)[]): string {
  return lines.map((line) => `${typeof line === 'string' ? line : lineOf(line)}\n`).join('');
}

function resealed(entry: EvidenceEntry, change: Partial<EvidenceEntry>): EvidenceEntry {
  const { hash: _hash, ...rest } = { ...entry, ...change };
  return { ...rest, hash: digestOf(rest) };
}

const entries = chainOf([{ by: 'ann' }, { pods: 1 }, { pods: 2 }, { pods: 3 }, { outcome: 'done' }]);
const [first, second, third, fourth, fifth] = entries as [EvidenceEntry, EvidenceEntry, EvidenceEntry, EvidenceEntry, EvidenceEntry];

function sentencesOf(lines: readonly (EvidenceEntry | string)[]): string[] {
  return verifyChain(textOf(lines)).problems.map(({ line, sentence }) => `${line}: ${sentence}`);
}

describe('a record', () => {
  test('that nobody touched is in order, and has ended', () => {
    const report = verifyChain(textOf(entries), run);
    expect(report).toMatchObject({ ok: true, problems: [], ending: 'ended' });
    expect(report.entries.map(({ entry }) => entry)).toEqual(entries);
  });

  test('without its last entry is in order, but said to be open or cut off', () => {
    expect(verifyChain(textOf(entries.slice(0, -1)))).toMatchObject({ ok: true, ending: 'open-or-cut-off' });
  });

  test.each<[string, (EvidenceEntry | string)[], string[]]>([
    [
      'with a changed entry',
      [first, { ...second, body: { pods: 9 } }, third],
      [`2: Entry 2 (step.performed) was changed: its hash is ${resealed(second, { body: { pods: 9 } }).hash}, but it says ${second.hash}.`],
    ],
    [
      'with a changed entry under a new hash',
      [first, resealed(second, { body: { pods: 9 } }), third],
      ['3: Entry 3 (step.performed) does not follow from entry 2: one of them was replaced.'],
    ],
    ['without its first entry', [second, third], ['1: Entry 1 is missing before Entry 2 (step.performed).']],
    ['without one entry', [first, third], ['2: Entry 2 is missing before Entry 3 (step.performed).']],
    ['without several entries', [first, fifth], ['2: Entries 2 to 4 are missing before Entry 5 (run.ended).']],
    ['with two entries swapped', [first, third, second, fourth], ['3: Entry 2 (step.performed) is out of order: it comes after entry 3.']],
    ['with an entry twice', [first, second, second, third], ['3: Entry 2 (step.performed) is there twice.']],
    [
      'with two entries of one number',
      [first, second, resealed(second, { body: { pods: 9 } }), third],
      ['3: Entry 2 (step.performed) is a second entry 2.'],
    ],
    [
      'with an entry of another run',
      [first, resealed(second, { run: 'r-other' }), second],
      [`2: Entry 2 (step.performed) belongs to run r-other, but this is the record of run ${run}.`],
    ],
    [
      'that begins with another first entry',
      [resealed(first, { previous: second.hash })],
      [`1: Entry 1 (run.started) does not follow from run ${run}: one of them was replaced.`],
    ],
    [
      'that goes on after the end',
      [...entries, chain(fifth, { run, at, kind: 'step.performed', body: {} })],
      ['6: Entry 6 (step.performed) comes after the end of the run.'],
    ],
    ['with a line that is not JSON', [first, 'oops', second], ['2: The line is not JSON.']],
    ['with an empty line', [first, '', second], ['2: The line is not JSON.']],
    ['with JSON that is no entry', [first, '{"sequence":2}', second], ['2: The line is JSON, but not an entry of a record.']],
    [
      'with an entry written another way',
      [first, JSON.stringify(second, undefined, 1).replaceAll('\n', ''), third],
      ['2: Entry 2 (step.performed) was written anew: the line is not as Holdpoint writes it.'],
    ],
    [
      'with half a surrogate pair smuggled in',
      [first, lineOf(second).replace('"pods":1', '"pods":"\\ud800"')],
      [`2: Entry 2 (step.performed) was changed: its hash is none (it has no canonical JSON), but it says ${second.hash}.`],
    ],
    ['without anything', [], ['1: The record has no entries.']],
  ])('%s is found out', (_title, lines, sentences) => {
    expect(sentencesOf(lines)).toEqual(sentences);
  });

  test('whose last line was cut off in the middle says so', () => {
    const { ok, problems, ending } = verifyChain(textOf(entries).slice(0, -20));
    expect({ ok, ending }).toEqual({ ok: false, ending: 'open-or-cut-off' });
    expect(problems).toEqual([{ line: 5, sentence: 'The line has no end: it was cut off while it was written.' }]);
  });

  test('cannot pass for the record of another run', () => {
    expect(verifyChain(textOf(entries), 'r-other').problems).toHaveLength(5);
    const renamed = entries.map((entry) => resealed(entry, { run: 'r-other' }));
    expect(verifyChain(textOf(renamed)).ok).toBe(false);
  });
});

describe('an entry', () => {
  test('holds a body of up to 256 KiB, and its line stays below the limit of lines', () => {
    const textOfBytes = (bytes: number) => ({ text: 'x'.repeat(bytes - '{"text":""}'.length) });
    const longest = chain(undefined, { run: 'r'.repeat(128), at, kind: 'k'.repeat(100), body: textOfBytes(evidenceBodyBytesMax) });
    expect(lineOf({ ...longest, sequence: Number.MAX_SAFE_INTEGER }).length).toBeLessThan(evidenceLineBytesMax);
    expect(() => chain(undefined, { run, at, kind: 'k', body: textOfBytes(evidenceBodyBytesMax + 1) })).toThrow(
      'the body of k has 262145 bytes, and an entry holds at most 262144',
    );
  });

  test.each<[string, Partial<EvidenceEntry>, string]>([
    ['an id that no file can have', { run: '../r' }, '"../r" cannot be the id of a run'],
    ['an execution that Temporal has none of', { execution: 'a b' }, '"a b" cannot be the id of an execution'],
    ['a kind that is no word', { kind: 'a b' }, '"a b" cannot be the kind of an entry'],
    ['a time that is not in UTC', { at: '2026-11-21T10:00:00+01:00' }, 'is not a time in UTC'],
    ['half a surrogate pair', { body: { text: '\ud800' } }, 'the body has no JSON form'],
    ['a number that JSON lacks', { body: { number: NaN } }, 'the body has no JSON form'],
  ])('is not made of %s', (_title, change, message) => {
    expect(() => chain(undefined, { run, at, kind: 'step', body: {}, ...change })).toThrow(message);
  });

  test('does not follow one of another run', () => {
    expect(() => chain(first, { run: 'r-other', at, kind: 'step', body: {} })).toThrow('cannot follow one of run');
  });
});

/** Bodies of any JSON that the chain accepts, in chains that have ended. */
const bodies = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ stringUnit: 'grapheme', maxDepth: 2 }));
const chains = fc.array(bodies, { minLength: 3, maxLength: 8 }).map((each) => chainOf(each as JsonObject[]));

function isFound(text: string): boolean {
  const { ok, ending } = verifyChain(text);
  return !ok || ending !== 'ended';
}

describe('in any chain', () => {
  test('nothing is found wrong as long as nothing is', () => {
    fc.assert(
      fc.property(chains, (each) => {
        expect(verifyChain(textOf(each), run)).toMatchObject({ ok: true, problems: [], ending: 'ended' });
      }),
    );
  });

  test('any removed, doubled or moved line is found', () => {
    fc.assert(
      fc.property(chains, fc.nat(), fc.nat(), (each, from, to) => {
        const source = from % each.length;
        const line = each[source] as EvidenceEntry;
        const rest = each.filter((_, index) => index !== source);
        expect(isFound(textOf(rest))).toBe(true);
        expect(isFound(textOf(each.toSpliced(to % (each.length + 1), 0, line)))).toBe(true);
        const target = to % each.length;
        if (target !== source) expect(isFound(textOf(rest.toSpliced(target, 0, line)))).toBe(true);
      }),
    );
  });

  test('any changed, added or removed character is found', () => {
    fc.assert(
      fc.property(chains, fc.nat(), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }), (each, position, character) => {
        const text = textOf(each);
        const place = position % text.length;
        for (const after of [place, place + 1]) {
          const changed = text.slice(0, place) + character + text.slice(after);
          if (changed !== text) expect(isFound(changed)).toBe(true);
        }
        expect(isFound(text.slice(0, place) + text.slice(place + 1))).toBe(true);
      }),
      { numRuns: 1_000, endOnFailure: true },
    );
  });

  test('any entry that was changed and sealed anew is found, unless all that follow are sealed anew too', () => {
    fc.assert(
      fc.property(chains, fc.nat(), (each, position) => {
        const index = position % (each.length - 1);
        const forged = resealed(each[index] as EvidenceEntry, { body: { forged: true } });
        expect(isFound(textOf(each.with(index, forged)))).toBe(true);
      }),
    );
  });
});

describe('what tenants of a cluster write into an entry', () => {
  const obeyed = '\x1b[8m\x9b2J\x7f\u202e\u200b\u2028\ufeff\u00ad\u{e0041}\u{1d173}';

  test('is in no file as a terminal would obey it, and says the same; its hash is that of its canonical JSON', () => {
    const alphabet = fc.constantFrom(...obeyed, '"', '\\', 'u', '0', '9', 'b', '한', '✓', '😀');
    fc.assert(
      fc.property(fc.string({ unit: alphabet }), (text) => {
        const [entry] = chainOf([{ text, [`of ${text}`]: 1 }]);
        const line = lineOf(entry!);
        expect(unseenIn(line)).toBeUndefined();
        expect(JSON.parse(line)).toEqual(entry);
        expect(resealed(entry!, {})).toEqual(entry);
        expect(verifyChain(`${line}\n`)).toMatchObject({ ok: true });
      }),
    );
    const { kept } = splitBody({ text: obeyed.repeat(6_000) });
    expect(unseenIn(Buffer.from(kept[0]!.bytes).toString())).toBeUndefined();
    expect(JSON.parse(Buffer.from(kept[0]!.bytes).toString())).toBe(obeyed.repeat(6_000));
  });

  test('is found out where somebody has written it into the file after all', () => {
    const [entry] = chainOf([{ text: '\u202e' }]);
    const line = lineOf(entry!);
    expect(sentencesOf([line.replace('\\u202e', '\u202e')])).toEqual([
      '1: Entry 1 (run.started) was written anew: the line is not as Holdpoint writes it.',
    ]);
  });

  test('counts as long as it is written', () => {
    const body = { text: '\x9b'.repeat(evidenceBodyBytesMax / 3) };
    expect(() => chain(undefined, { run, at, kind: 'k', body })).toThrow(/the body of k has \d+ bytes/);
  });
});

describe('a body that is too large for an entry', () => {
  const sizeOf = (body: JsonObject): number => Buffer.byteLength(lineOf(chain(undefined, { run, at, kind: 'k', body })));

  test('gives up its largest values, and no more than it must', () => {
    const [large, larger, small] = ['l'.repeat(50_000), 'm'.repeat(60_000), 'Grüße'];
    const { body, kept } = splitBody({ large, small, larger });
    expect(kept.map(({ name }) => name)).toEqual(['larger']);
    expect(Buffer.from(kept[0]?.bytes ?? []).toString()).toBe(JSON.stringify(larger));
    expect(body).toEqual({ large, small, larger: { sha256: digestOf(larger), bytes: 60_002 } });
    expect(Object.keys(body)).toEqual(['large', 'small', 'larger']);
    expect(splitBody({ large, small })).toEqual({ body: { large, small }, kept: [] });
  });

  test('of many small values keeps them, for the chain to refuse', () => {
    const body = Object.fromEntries(Array.from({ length: 6_000 }, (_, index) => [`name-${index}`, 'x'.repeat(50)]));
    expect(splitBody(body)).toEqual({ body, kept: [] });
  });

  test.each<JsonObject>([{ text: '\ud800' }, { number: NaN }])('and has no JSON form comes back as it is: %j', (part) => {
    const body = { ...part, large: 'x'.repeat(100_000) };
    expect(splitBody(body)).toEqual({ body, kept: [] });
  });

  test('has a small entry with everything in it or beside it, whatever it holds', () => {
    const values = fc.oneof(
      fc.jsonValue(),
      fc.nat({ max: 200_000 }).map((length) => 'ü'.repeat(length / 2)),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), values, { maxKeys: 6 }), (each) => {
        const body = each as JsonObject;
        const split = splitBody(body);
        const entry = chain(undefined, { run, at, kind: 'k', body: split.body });
        const kept = new Map(split.kept.map(({ name, bytes }) => [name, bytes]));
        expect(
          keptValuesOf(entry)
            .map(([name]) => name)
            .sort(),
        ).toEqual([...kept.keys()].sort());
        for (const [name, value] of keptValuesOf(entry)) {
          expect(keptProblemOf(entry, name, value, kept.get(name))).toBeUndefined();
          expect(JSON.parse(Buffer.from(kept.get(name) ?? []).toString())).toEqual(body[name]);
        }
        expect({ ...split.body, ...Object.fromEntries([...kept.keys()].map((name) => [name, body[name]])) }).toEqual(body);
        expect(sizeOf(split.body)).toBeLessThan(payloadSizeMax + 1_024);
      }),
      { numRuns: 50 },
    );
  });
});
