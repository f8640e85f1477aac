import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import type { EntrySigner } from '../../activities/evidence/record.ts';
import { createDirectoryObjects } from '../../activities/storage/directory.ts';
import { ed25519Signer, type Signer } from '../../client/signing.ts';
import { splitBody } from '../../domain/evidence/evidence.ts';
import { runCommand } from './run-command.ts';
import { writtenOfRun } from './signed-record.ts';
import { newWorkerKey } from './worker-key.ts';

/** A record with hostile texts in it, and the page that the command line makes of it. */
export interface HostilePage {
  worker: EntrySigner;
  ann: Signer;
  bob: Signer;
  run: string;
  directory: string;
  record: string;
  /** Path of its holdpoint.yaml. */
  configuration: string;
  html: string;
  remove(): Promise<void>;
}

const hostile = '</script><img src=x onerror=alert(1)><!-- \u2028 \u202e \u200b &lt; "';

function newKey(person: string): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return ed25519Signer(person, publicKey.export({ format: 'jwk' }).x ?? '', async (bytes) => sign(null, bytes, privateKey));
}

/** Makes the record of a run, with the key of a worker and a second place, and its page. */
export async function createHostilePage(): Promise<HostilePage> {
  const [ann, bob, worker, run] = [newKey('ann'), newKey('bob'), newWorkerKey(), 'r-20261128-page00'];
  const directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-page-'));
  const anchor = createDirectoryObjects(path.join(directory, 'anchors'));
  const store = createEvidenceDirectory(path.join(directory, 'evidence'), { signer: worker, anchor });
  for (const [index, { kind, body }] of (await writtenOfRun(run, ann, bob)).entries()) {
    // A plan is signed by its hash, and a summary by nobody but the worker.
    const said = kind === 'step.done' ? { ...body, summary: hostile, seen: 'x'.repeat(70_000) } : body;
    const { body: rest, kept } = splitBody(said);
    for (const { bytes } of kept) await store.keep(bytes);
    await store.append(run, { sequence: index + 1, kind, body: rest });
  }
  const configuration = path.join(directory, 'holdpoint.yaml');
  const lines = [
    'apiVersion: holdpoint.dev/v1',
    'kind: Configuration',
    `people: { ann: { name: Ann Secretive, key: ${ann.publicKey} }, bob: { name: Bob, key: ${bob.publicKey} } }`,
    'groups: { sre: [ann, bob] }',
    'policies: { production: { atLeast: 1, of: sre, exclude: [requester], expires: 1m } }',
    `workers: { blue: { key: ${worker.publicKey}, from: 2020-01-01T00:00:00Z } }`,
    'anchor: { directory: anchors }',
    '',
  ];
  await writeFile(configuration, lines.join('\n'));
  const record = store.pathOf(run);
  const file = path.join(directory, 'page.html');
  const { code, stderr } = await runCommand('evidence', 'show', record, '--config', configuration, '--html', '--out', file);
  if (code !== 0) throw new Error(`no page was made: ${stderr}`);
  const html = await readFile(file, 'utf8');
  return { worker, ann, bob, run, directory, record, configuration, html, remove: () => rm(directory, { recursive: true, force: true }) };
}
