import { generateKeyPairSync, sign } from 'node:crypto';
import { cp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEvidenceDirectory } from '../../../activities/evidence/directory.ts';
import { createBucketObjects, openBucket } from '../../../activities/storage/bucket.ts';
import { createDirectoryObjects } from '../../../activities/storage/directory.ts';
import type { ObjectStore } from '../../../activities/storage/objects.ts';
import { verifyEvidence, type EvidenceReport, type RecordOptions } from '../../../client/evidence.ts';
import { ed25519Signer, type Signer } from '../../../client/signing.ts';
import type { EvidencePlace } from '../../../runbooks/configuration/configuration.ts';
import { writtenOfRun, type Written } from '../../support/signed-record.ts';
import { newWorkerKey } from '../../support/worker-key.ts';
import { errorOf, openPlaces, region, type Places } from './places.ts';

const run = 'r-20261128-heads';
const worker = newWorkerKey();

function newKey(person: string): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return ed25519Signer(person, publicKey.export({ format: 'jwk' }).x ?? '', async (bytes) => sign(null, bytes, privateKey));
}

const [ann, bob] = [newKey('ann'), newKey('bob')];
const people = { ann: { key: ann.publicKey }, bob: { key: bob.publicKey } };
const authority: RecordOptions['authority'] = {
  groups: { sre: ['ann', 'bob'] },
  policies: { production: { name: 'production', atLeast: 1, of: 'sre', exclude: ['requester'], reason: 'optional', expiresMs: 60_000 } },
  workers: { blue: { key: worker.publicKey, from: '2020-01-01T00:00:00Z' } },
};

let places: Places;
let written: Written[];
beforeEach(async () => {
  places = await openPlaces();
  written = await writtenOfRun(run, ann, bob);
});
afterEach(() => places.close());

/** The second places that there are, with what makes each of them unreachable. */
const kinds: [string, () => { place: EvidencePlace; objects: ObjectStore; breakOff: () => Promise<void> }][] = [
  [
    'a directory',
    () => {
      const directory = path.join(places.home, 'heads');
      const breakOff = async (): Promise<void> => {
        await rm(directory, { recursive: true, force: true });
        await writeFile(directory, 'no directory any more');
      };
      return { place: { directory }, objects: createDirectoryObjects(directory), breakOff };
    },
  ],
  [
    'a bucket with Object Lock',
    () => {
      const s3 = { bucket: 'locked', prefix: 'heads', region };
      return { place: { s3 }, objects: createBucketObjects(openBucket(s3)), breakOff: () => places.s3.stop() };
    },
  ],
];

async function record(name: string, entries: readonly Written[], anchor?: ObjectStore): Promise<string> {
  const store = createEvidenceDirectory(path.join(places.home, name), { signer: worker, anchor });
  for (const [index, entry] of entries.entries()) await store.append(run, { sequence: index + 1, ...entry });
  return store.pathOf(run);
}

const verified = (place: string, anchor: EvidencePlace): Promise<EvidenceReport> => verifyEvidence(place, people, { authority, anchor });
const sentencesOf = ({ problems }: EvidenceReport): string => problems.map(({ sentence }) => sentence).join('\n');

describe.each(kinds)('with heads in %s', (_kind, open) => {
  test('a record is proven whole up to the last head', async () => {
    const { place, objects } = open();
    const report = await verified(await record('records', written, objects), place);
    expect(report).toMatchObject({ ok: true, anchors: 3, problems: [] });
    expect(report.proven.join('\n')).toContain('The second place has 3 heads of this record, the last of entry 10');
  });

  test('a record that was cut off is found', async () => {
    const { place, objects } = open();
    const whole = await record('records', written, objects);
    const short = path.join(places.home, 'short', run);
    await cp(whole, short, { recursive: true });
    await rm(path.join(short, '000000010.json'));
    const report = await verified(short, place);
    expect(report.ok).toBe(false);
    expect(sentencesOf(report)).toContain('The record has no entry 10, but one was anchored');
    expect(sentencesOf(report)).toContain('it was cut off.');
    // Without the second place nobody could tell.
    expect(await verifyEvidence(short, people, { authority })).toMatchObject({ ok: true, ending: 'open-or-cut-off' });
  });

  test('a record that was made anew with the key of the worker is found', async () => {
    const { place, objects } = open();
    await record('records', written, objects);
    const other = written.map((entry) =>
      entry.kind === 'step.done' ? { ...entry, body: { ...entry.body, summary: 'nothing went wrong' } } : entry,
    );
    const remade = await record('remade', other);
    const report = await verified(remade, place);
    expect(report.ok).toBe(false);
    expect(sentencesOf(report)).toContain('the record was made anew since.');
    expect(await verifyEvidence(remade, people, { authority })).toMatchObject({ ok: true, problems: [] });
  });

  test('a worker goes no further where another head is there', async () => {
    const { objects } = open();
    await record('records', written, objects);
    const error = await errorOf(record('remade', written, objects));
    expect(error).toMatchObject({ code: 'evidence-conflict', message: expect.stringContaining('is anchored in') });
  });

  test('a place that does not answer is told as unknown, neither as proven nor as a problem, and keeps a worker waiting', async () => {
    const { place, objects, breakOff } = open();
    const whole = await record('records', written, objects);
    await breakOff();
    const report = await verified(whole, place);
    expect(report).toMatchObject({ ok: true, anchors: 'unreadable', problems: [] });
    expect(report.notes.join('\n')).toMatch(/^The second place .* cannot be read: /);
    expect(report.proven.join('\n')).not.toContain('second place');
    expect(report.notProven.join('\n')).toContain('the second place (anchor:) could not be read');
    const error = await errorOf(record('waiting', written, objects));
    expect(error).toMatchObject({
      code: 'evidence-unwritable',
      consequence: 'retry',
      message: expect.stringContaining('could not be anchored'),
    });
  });
});
