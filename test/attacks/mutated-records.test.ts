import { mkdtemp, readdir, readFile, rm, symlink, writeFile, chmod, mkdir, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import type { EntrySigner } from '../../activities/evidence/record.ts';
import type { EvidenceStore } from '../../activities/evidence/store.ts';
import { createDirectoryObjects } from '../../activities/storage/directory.ts';
import { verifyEvidence, type EvidenceReport, type RecordOptions } from '../../client/evidence.ts';
import { bytesOfEntry, chain, lineOf, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { startEngine, runbookOf, type Engine } from '../support/engine.ts';
import { isExhaustive } from '../support/exhaustive.ts';
import { newWorkerKey } from '../support/worker-key.ts';

/** How many edits are tried, with the seed that they are made from. */
const editsCount = isExhaustive ? 2_000 : 300;
const seed = 20_261_128;

let engine: Engine;
let directory: string;
let anchors: string;
let store: EvidenceStore;
const worker = newWorkerKey();
const stranger = newWorkerKey();
/** Records of real runs, as a worker with a key has kept them. */
const records: { run: string; text: string }[] = [];

beforeAll(async () => {
  engine = await startEngine('mutated');
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-mutated-'));
  anchors = path.join(directory, 'anchors');
  store = createEvidenceDirectory(path.join(directory, 'evidence'), { signer: worker, anchor: createDirectoryObjects(anchors) });
  for (const run of [await signedRun('one'), await signedRun('two'), await rejectedRun()]) {
    for (const { sequence, kind, body } of await engine.entries(run)) await store.append(run, { sequence, kind, body });
    records.push({ run, text: (await store.read(run)).map((entry) => `${lineOf(entry)}\n`).join('') });
  }
}, 120_000);
afterAll(async () => {
  await engine.stop();
  await rm(directory, { recursive: true, force: true });
});

async function signedRun(policy: 'one' | 'two'): Promise<string> {
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy }));
  await engine.decide(target, 'ada');
  if (policy === 'two') await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  return run;
}

async function rejectedRun(): Promise<string> {
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf());
  await engine.decide(target, 'ada', 'reject');
  await engine.until(target, 'rejected');
  return run;
}

const workers = (): NonNullable<NonNullable<RecordOptions['authority']>['workers']> => ({
  blue: { key: worker.publicKey, from: '2020-01-01T00:00:00Z' },
});
const options = (): RecordOptions => ({
  authority: { ...engine.configuration, workers: workers() },
  anchor: { directory: anchors },
});

async function verified(text: string, given = options()): Promise<EvidenceReport> {
  const file = path.join(directory, 'record.jsonl');
  await writeFile(file, text);
  return verifyEvidence(file, engine.configuration.people, given);
}

const entriesOf = (text: string): EvidenceEntry[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as EvidenceEntry);

/** Seals entries anew, signed with a key or by nobody. */
function resealed(entries: readonly Pick<EvidenceEntry, 'run' | 'at' | 'kind' | 'body'>[], signer?: EntrySigner): string {
  const made: EvidenceEntry[] = [];
  for (const { run, at, kind, body } of entries) {
    const entry = chain(made.at(-1), { run, at, kind, body, worker: signer?.publicKey });
    const signature = signer && Buffer.from(signer.sign(bytesOfEntry(entry.hash))).toString('base64url');
    made.push(signature === undefined ? entry : { ...entry, signature });
  }
  return made.map((entry) => `${lineOf(entry)}\n`).join('');
}

/** Numbers below a bound, always the same ones. */
function numbersFrom(state: number): (below: number) => number {
  return (below) => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

type Below = (below: number) => number;

/** Changes one value somewhere within a body. */
function edited(value: Json, below: Below): Json {
  if (typeof value === 'string') return `${value}x`;
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (value === null) return 'x';
  if (Array.isArray(value)) {
    const index = below(value.length + 1);
    return index === value.length ? [...value, 'x'] : value.map((item, at) => (at === index ? edited(item, below) : item));
  }
  const names = Object.keys(value);
  const name = names[below(names.length)];
  return name === undefined ? { x: 'x' } : { ...value, [name]: edited(value[name] ?? null, below) };
}

function editedEntries(text: string, below: Below): Pick<EvidenceEntry, 'run' | 'at' | 'kind' | 'body'>[] {
  const entries = entriesOf(text);
  const index = below(entries.length);
  switch (below(4)) {
    case 0:
      return entries.filter((_entry, at) => at !== index);
    case 1:
      return entries.slice(0, Math.max(1, index));
    case 2: {
      const other = (index + 1) % entries.length;
      return entries.map((entry, at) => (at === index ? (entries[other] ?? entry) : at === other ? (entries[index] ?? entry) : entry));
    }
    default:
      return entries.map((entry, at) => (at === index ? { ...entry, body: edited(entry.body, below) as JsonObject } : entry));
  }
}

/** What somebody does to the text of a record. Only the last one has the key of the worker. */
const edits: Record<string, (text: string, below: Below) => string> = {
  byte: (text, below) => {
    const bytes = Buffer.from(text);
    const place = below(bytes.length);
    bytes[place] = (bytes[place] ?? 0) ^ (1 << below(7));
    return bytes.toString('latin1');
  },
  line: (text, below) => {
    const lines = text.trimEnd().split('\n');
    const index = below(lines.length);
    const copy = lines[below(lines.length)] ?? '';
    return `${(below(2) === 0 ? lines.filter((_line, at) => at !== index) : lines.toSpliced(index, 0, copy)).join('\n')}\n`;
  },
  order: (text, below) => {
    const lines = text.trimEnd().split('\n');
    const [moved = ''] = lines.splice(below(lines.length), 1);
    lines.splice(below(lines.length + 1), 0, moved);
    return `${lines.join('\n')}\n`;
  },
  cut: (text, below) =>
    `${text
      .trimEnd()
      .split('\n')
      .slice(0, 1 + below(entriesOf(text).length - 1))
      .join('\n')}\n`,
  'made anew, signed by nobody': (text, below) => resealed(editedEntries(text, below)),
  'made anew, signed by a stranger': (text, below) => resealed(editedEntries(text, below), stranger),
  'made anew, one signature kept': (text, below) => {
    const genuine = entriesOf(text);
    const made = entriesOf(resealed(editedEntries(text, below), stranger));
    const index = below(made.length);
    const { worker: key, signature } = genuine[Math.min(index, genuine.length - 1)] ?? {};
    return made.map((entry, at) => `${lineOf(at === index ? { ...entry, worker: key, signature } : entry)}\n`).join('');
  },
  'made anew with the key of the worker': (text, below) => resealed(editedEntries(text, below), worker),
};

test(`each of ${editsCount} edits of records of real runs is found, also those made with the key of the worker`, async () => {
  for (const { text } of records) expect(await verified(text)).toMatchObject({ ok: true, ending: 'ended', problems: [], notes: [] });
  const below = numbersFrom(seed);
  const kinds = Object.keys(edits);
  const unseen: string[] = [];
  const tried: Record<string, number> = {};
  let outside = 0;
  for (let count = 0; count < editsCount;) {
    const kind = kinds[count % kinds.length] ?? '';
    const { text } = records[below(records.length)] ?? { text: '' };
    const changed = edits[kind]?.(text, below) ?? text;
    if (changed === text) continue;
    count += 1;
    tried[kind] = (tried[kind] ?? 0) + 1;
    if ((await verified(changed)).ok) unseen.push(`${count} ${kind}`);
    if (kind !== 'made anew with the key of the worker') continue;
    // Without the second place it is found only where people's signatures, or the order of things, speak against it.
    const alone = await verified(changed, { ...options(), anchor: undefined });
    if (!alone.ok) continue;
    outside += 1;
    expect(alone.notProven).toContainEqual(expect.stringContaining('Anything against whoever holds the key of a worker'));
  }
  expect({ unseen, kinds: Object.keys(tried).sort() }).toEqual({ unseen: [], kinds: kinds.sort() });
  expect(outside).toBeGreaterThan(0);
}, 300_000);

describe('a record says what it proves', () => {
  test('with the workers and the second place of holdpoint.yaml', async () => {
    const { proven, notProven, workers: signed, anchors: found } = await verified(records[0]?.text ?? '');
    expect(proven.join('\n')).toMatch(
      /dana has signed the start.*\nada signed the plan of hold sign[^]*written by a worker[^]*\(blue\)[^]*second place has/,
    );
    expect(notProven.join('\n')).toContain('whoever holds the key of a worker');
    expect(signed.known).toBe(signed.signed);
    expect(found).toBe(3);
  });

  test('and that the signatures of no worker are there, in so many words', async () => {
    const unsigned = resealed(entriesOf(records[0]?.text ?? ''));
    const report = await verifyEvidence(await written(unsigned), engine.configuration.people, { authority: engine.configuration });
    expect(report).toMatchObject({ ok: true, workers: { signed: 0, known: 0 } });
    expect(report.notProven.join('\n')).toMatch(
      /No entry is signed by a worker: whoever can write where records are kept[^]*no second place/,
    );
  });

  test('and notes where holdpoint.yaml has changed since a worker has recorded it', async () => {
    const groups = { sre: ['ada', 'grace'] };
    const authority = { ...engine.configuration, groups, workers: workers() };
    const report = await verified(records[0]?.text ?? '', { ...options(), authority });
    expect(report).toMatchObject({ ok: true, notes: [expect.stringContaining('dana is not in holdpoint.yaml')] });
  });

  test.each([
    ['before', { from: '2999-01-01T00:00:00Z' }, 'which counts from 2999'],
    ['after', { from: '2020-01-01T00:00:00Z', until: '2020-02-01T00:00:00Z' }, 'until 2020-02-01'],
  ])('and objects to a key that was used %s its time', async (_when, period, sentence) => {
    const authority = { ...engine.configuration, workers: { blue: { key: worker.publicKey, ...period } } };
    const { problems } = await verified(records[0]?.text ?? '', { authority });
    expect(problems[0]?.sentence).toContain(sentence);
  });

  async function written(text: string): Promise<string> {
    const file = path.join(directory, 'unsigned.jsonl');
    await writeFile(file, text);
    return file;
  }
});

describe('a place of records that others can change is refused', () => {
  const entry = { sequence: 1, kind: 'sweep.started', body: {} };

  test('where everybody may write to the directory', async () => {
    const open = path.join(directory, 'open');
    await mkdir(open);
    await chmod(open, 0o777);
    await expect(createEvidenceDirectory(open).append('r-1', entry)).rejects.toMatchObject({
      code: 'evidence-unwritable',
      message: expect.stringContaining(`everybody may write to the directory ${open} (mode 777).`),
      remedy: `Close it with: chmod o-w ${open}`,
    });
  });

  test.each(['the record', 'an entry', 'what is kept'])('where %s is a symbolic link', async (what) => {
    const root = await mkdtemp(path.join(directory, 'linked-'));
    const own = createEvidenceDirectory(root);
    const digest = await own.keep(Buffer.from('kept'));
    await own.append('r-1', entry);
    const name = { 'the record': 'r-1', 'an entry': 'r-1/000000001.json' }[what] ?? `payloads/${digest.slice('sha256:'.length)}`;
    await rename(path.join(root, name), path.join(root, 'elsewhere'));
    await symlink(path.join(root, 'elsewhere'), path.join(root, name));
    const again = createEvidenceDirectory(root);
    const reading = what === 'what is kept' ? again.fetch(digest) : again.read('r-1');
    await expect(reading).rejects.toMatchObject({
      code: 'evidence-unreadable',
      message: expect.stringContaining(`${path.join(root, name)} is a symbolic link.`),
    });
    if (what === 'what is kept') return;
    await expect(again.append('r-1', { ...entry, sequence: 2 })).rejects.toMatchObject({ code: 'evidence-unwritable' });
    await expect(verifyEvidence(path.join(root, 'r-1'))).rejects.toThrow('is a symbolic link');
  });
});

test('a worker that finds another entry anchored goes no further', async () => {
  const own = createEvidenceDirectory(path.join(directory, 'other'), { signer: worker, anchor: createDirectoryObjects(anchors) });
  const { run } = records[0] ?? { run: '' };
  const names = await readdir(path.join(anchors, run));
  expect(names).toContain('000000002.json');
  expect(await readFile(path.join(anchors, run, '000000002.json'), 'utf8')).not.toContain('body');
  await own.append(run, { sequence: 1, kind: 'run.started', body: {} });
  await expect(own.append(run, { sequence: 2, kind: 'plan.made', body: {} })).rejects.toMatchObject({
    code: 'evidence-conflict',
    message: expect.stringContaining('is anchored in'),
  });
});
