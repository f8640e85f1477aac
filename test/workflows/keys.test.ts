import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { verifyEvidence } from '../../client/evidence.ts';
import { refusalIn, type RefusedError } from '../../client/remote-error.ts';
import { type signerWith } from '../../client/signing.ts';
import type { PersonKey } from '../../domain/approval/keys.ts';
import type { Person as Known } from '../../runbooks/configuration/configuration.ts';
import { consoleOrigin, newPasskey } from '../support/authenticator.ts';
import { startEngine, type Engine, type Person } from '../support/engine.ts';
import { newSshSigner } from '../support/ssh-signer.ts';

let engine: Engine;
let people: Record<string, Known>;
beforeAll(async () => {
  engine = await startEngine('keys');
  people = structuredClone(engine.configuration.people);
});
afterEach(() => {
  Object.assign(engine.configuration.people, structuredClone(people));
});
afterAll(() => engine.stop());

/** From now on the person has that key, too. */
function addKey(person: Person, key: PersonKey): void {
  const { name, key: own = '' } = people[person] ?? { name: person };
  engine.configuration.people[person] = { name, keys: [{ type: 'ed25519', key: own }, key] };
}

/** From now on the key that everybody has from the start counts so. */
function setTimes(person: Person, times: Partial<PersonKey>): void {
  const { name, key = '' } = people[person] ?? { name: person };
  engine.configuration.people[person] = { name, keys: [{ type: 'ed25519', key, ...times }] };
}

async function refusalOf(attempt: Promise<unknown>): Promise<RefusedError | undefined> {
  return attempt.then(
    () => undefined,
    (error: unknown) => refusalIn(error) ?? (error as RefusedError),
  );
}

async function decideWith(target: string, signer: ReturnType<typeof signerWith>): Promise<unknown> {
  const state = await engine.holdpoint.state(target);
  if (!state.hold) throw new Error('no hold waits');
  return engine.holdpoint.decide(state, state.hold.request, 'approve', '', signer);
}

test('an SSH key and a passkey sign through the run and its worker, and the record is verified with public keys alone', async () => {
  const { key, signer } = newSshSigner('ada');
  const passkey = newPasskey();
  addKey('ada', key);
  addKey('grace', { ...passkey.key, origins: ['https://elsewhere.example.com'] });
  const { run, target } = await engine.held('two');
  await decideWith(target, signer);
  expect(await refusalOf(decideWith(target, passkey.signer('grace')))).toMatchObject({ code: 'passkey-origin-differs' });
  addKey('grace', passkey.key);
  await decideWith(target, passkey.signer('grace'));
  await engine.until(target, 'done');
  await engine.verifiedKinds(run);
  const accepted = (await engine.entries(run)).filter(({ kind }) => kind === 'decision.accepted');
  expect(accepted.map(({ body }) => body.publicKey)).toEqual([signer.publicKey, passkey.key.key]);
  const { ok, signatures } = await verifyEvidence(engine.evidence.pathOf(run));
  expect([ok, signatures.map(({ person, madeWith }) => [person, madeWith])]).toEqual([
    true,
    [
      ['dana', { type: 'ed25519' }],
      ['ada', { type: 'ssh' }],
      ['grace', { type: 'passkey', deviceBound: true, origin: consoleOrigin }],
    ],
  ]);
  // Once the passkey is revoked the record says so.
  const revoked = new Date(Date.now() + 1_000).toISOString();
  const known = { ...people, ada: { keys: [key] }, grace: { keys: [{ ...passkey.key, revoked }] } };
  const after = await verifyEvidence(engine.evidence.pathOf(run), known);
  expect([...after.notes, ...after.problems.map(({ sentence }) => sentence)]).toEqual([
    expect.stringContaining('key of grace that was revoked later'),
  ]);
  await engine.replay(target);
});

test('a key that was added after the signatures were requested signs, too, and keeps the older one', async () => {
  const { target } = await engine.held('two');
  const { key, signer } = newSshSigner('ada');
  expect(await refusalOf(decideWith(target, signer))).toMatchObject({ code: 'algorithm-refused' });
  addKey('ada', key);
  await decideWith(target, signer);
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
});

test.each<[string, (now: number) => Partial<PersonKey>, string]>([
  ['revoked a second ago', (now) => ({ revoked: new Date(now - 1_000).toISOString() }), 'key-revoked'],
  ['over since a second ago', (now) => ({ until: new Date(now - 1_000).toISOString() }), 'key-over'],
  ['for later', (now) => ({ from: new Date(now + 3_600_000).toISOString() }), 'key-early'],
])('a decision with a key that is %s has no effect, and is in the record', async (_what, times, code) => {
  const { run, target, site } = await engine.held('one');
  setTimes('ada', times(Date.now()));
  expect(await refusalOf(engine.decide(target, 'ada'))).toMatchObject({ code });
  await engine.until(target, ({ refusedAttempts }) => refusedAttempts === 1);
  expect((await engine.until(target, 'holding')).hold?.decisions).toEqual([]);
  expect(site.done).toEqual([]);
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  const refused = (await engine.entries(run)).find(({ kind }) => kind === 'attempt.refused');
  expect(refused?.body).toMatchObject({ person: 'ada', code });
});

test('what was signed with a key that was revoked since does not count when the last one signs', async () => {
  const { run, target, site } = await engine.held('two');
  await engine.decide(target, 'ada');
  setTimes('ada', { revoked: new Date().toISOString() });
  expect(await engine.decide(target, 'grace')).toEqual({ state: 'waiting', missing: 1 });
  expect(site.done).toEqual([]);
  const { signer, key } = newSshSigner('ada');
  addKey('ada', key);
  await decideWith(target, signer);
  await engine.until(target, 'done');
  const voided = (await engine.entries(run)).find(({ kind }) => kind === 'decision.voided');
  expect(voided?.body).toMatchObject({ person: 'ada', reason: expect.stringContaining('with a key that is revoked since') });
});

test('a step whose signature was revoked after the hold was released is not carried out', async () => {
  const { target, site } = await engine.held('one');
  site.slow.add('first');
  await engine.decide(target, 'ada');
  await engine.until(target, 'running');
  await engine.holdpoint.operate(target, 'pause', '', engine.keys.dana);
  await engine.until(target, 'paused');
  setTimes('ada', { revoked: new Date().toISOString() });
  site.finishSlow();
  const done = [...site.done];
  await engine.holdpoint.operate(target, 'resume', '', engine.keys.dana);
  const { stuck } = await engine.until(target, 'stuck');
  expect(stuck).toMatchObject({ code: 'step-not-signed', reason: expect.stringContaining('with a key that is revoked since') });
  expect(site.done).toEqual(done);
  await engine.holdpoint.operate(target, 'abort', '', engine.keys.dana);
  await engine.until(target, 'aborted');
});
