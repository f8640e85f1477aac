import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { CompactSign } from 'jose';
import { clockSkewMaxMs } from '../../../domain/time.ts';
import { statementAgeMaxMs, verifyStatement } from '../../../activities/people/verify.ts';
import { ed25519Signer } from '../../../client/signing.ts';
import { checkSignature } from '../../../domain/approval/signature.ts';
import {
  claimNames,
  expectedOf,
  type DecisionStatement,
  type ExpectedStatement,
  type Statement,
  type StatementKind,
} from '../../../domain/approval/statement.ts';
import { statements, statementsByKind } from '../../support/statements.ts';

function newKey(person: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const signer = ed25519Signer(person, publicKey.export({ format: 'jwk' }).x ?? '', async (bytes) => sign(null, bytes, privateKey));
  return { ...signer, privateKey };
}

const ann = newKey('ann');
const bob = newKey('bob');

const statement: DecisionStatement = statements.decision;
const { start } = statements;

const now = new Date('2026-11-21T10:01:00Z');
const header = { alg: 'EdDSA', typ: 'holdpoint+jws', kid: 'ann' };

function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

/** Signs whatever it is given, as somebody would who does not use our client. */
function forge(head: object, payload: unknown, key = ann): string {
  const content = `${encode(head)}.${encode(payload)}`;
  return `${content}.${sign(null, Buffer.from(content), key.privateKey).toString('base64url')}`;
}

async function codeOf(jws: string, publicKey = ann.publicKey): Promise<string> {
  const result = verifyStatement(jws, expectedOf(statement), { key: publicKey }, now);
  return result.ok ? 'ok' : result.code;
}

describe('a statement', () => {
  test.each(statementsByKind)('of kind %s that says what is expected is accepted', async (_kind, claims) => {
    const jws = await ann.sign(claims);
    expect(verifyStatement(jws, expectedOf(claims), { key: ann.publicKey }, now)).toEqual({
      ok: true,
      statement: claims,
      key: ann.publicKey,
    });
  });

  const everyClaim = statementsByKind.flatMap(([kind]) => claimNames(kind).map((claim): [StatementKind, string] => [kind, claim]));

  test.each(everyClaim)('of kind %s is refused when anything else is expected as its %s', async (kind, claim) => {
    const signed: Statement = statements[kind];
    const expected = { ...expectedOf(signed), [claim]: 'other' } as unknown as ExpectedStatement;
    // Who it is expected from is compared with the header first.
    const code = claim === 'person' ? 'signer-differs' : 'claim-differs';
    expect(verifyStatement(forge(header, signed), expected, { key: ann.publicKey }, now)).toMatchObject({ ok: false, code });
  });

  test.each<[string, object, unknown, string]>([
    ['another person as its signer', { ...header, kid: 'bob' }, statement, 'signer-differs'],
    ['no signer', { alg: 'EdDSA', typ: 'holdpoint+jws' }, statement, 'signer-differs'],
    ['another type of token', { ...header, typ: 'JWT' }, statement, 'statement-malformed'],
    ['no type', { alg: 'EdDSA', kid: 'ann' }, statement, 'statement-malformed'],
    ['another name of the algorithm', { ...header, alg: 'Ed25519' }, statement, 'algorithm-refused'],
    ['no algorithm', { ...header, alg: 'none' }, statement, 'algorithm-refused'],
    ['an extension that must be understood', { ...header, crit: ['b64'], b64: false }, statement, 'statement-malformed'],
    ['an unknown extension', { ...header, crit: ['x'], x: 1 }, statement, 'statement-malformed'],
    ['a payload that is not JSON', header, 'oops', 'statement-malformed'],
    ['a claim too many', header, { ...statement, admin: true }, 'statement-malformed'],
    ['a claim too few', header, { ...statement, nonce: undefined }, 'statement-malformed'],
    ['a claim of another type', header, { ...statement, request: '2' }, 'statement-malformed'],
    ['a time that is none', header, { ...statement, at: 'now' }, 'statement-malformed'],
    ['a start in place of a decision', header, start, 'claim-differs'],
  ])('with %s is refused, though the key is right', async (_title, head, payload, code) => {
    expect(await codeOf(forge(head, payload))).toBe(code);
  });

  const others = { person: 'bob', run: 'r-2', hold: 'x', request: 3, planHash: 'y', decision: 'reject', reason: 'z' };

  test.each(Object.entries(others))('with another %s (%s) than expected is refused', async (claim, value) => {
    expect(await codeOf(forge(header, { ...statement, [claim]: value }))).toBe('claim-differs');
  });

  test('tells which claim differs, and what was expected', async () => {
    const result = verifyStatement(
      forge(header, { ...statement, planHash: 'sha256:9' }),
      expectedOf(statement),
      { key: ann.publicKey },
      now,
    );
    expect(result).toEqual({
      ok: false,
      code: 'claim-differs',
      reason: `ann signed planHash "sha256:9", but it should be "${statement.planHash}".`,
      remedy: 'Look at the run with `holdpoint show` and sign what is shown there.',
    });
  });
});

describe('a forged statement', () => {
  test.each<[string, () => string | Promise<string>, string]>([
    ['signed with the key of somebody else', () => forge(header, statement, bob), 'signature-forged'],
    [
      'with a payload changed after signing',
      () => {
        const [head, , signature] = forge(header, statement).split('.');
        return [head, encode({ ...statement, decision: 'reject' }), signature].join('.');
      },
      'signature-forged',
    ],
    [
      'with a header changed after signing',
      () => {
        const [, payload, signature] = forge({ ...header, kid: 'bob' }, statement).split('.');
        return [encode(header), payload, signature].join('.');
      },
      'signature-forged',
    ],
    [
      'with the signature of another statement',
      () => forge(header, statement).replace(/[^.]+$/, String(forge(header, start).split('.')[2])),
      'signature-forged',
    ],
    ['with an empty signature', () => forge(header, statement).replace(/[^.]+$/, ''), 'signature-forged'],
    ['with a signature of zeros', () => forge(header, statement).replace(/[^.]+$/, encode('\0'.repeat(64))), 'signature-forged'],
    ['without a signature, under alg none', () => `${encode({ ...header, alg: 'none' })}.${encode(statement)}.`, 'algorithm-refused'],
    [
      'signed by HMAC with the public key as the secret',
      () => {
        const content = `${encode({ ...header, alg: 'HS256' })}.${encode(statement)}`;
        const mac = createHmac('sha256', Buffer.from(ann.publicKey, 'base64url')).update(content).digest('base64url');
        return `${content}.${mac}`;
      },
      'algorithm-refused',
    ],
    [
      'signed with ECDSA',
      async () => {
        const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
        return new CompactSign(Buffer.from(JSON.stringify(statement))).setProtectedHeader({ ...header, alg: 'ES256' }).sign(privateKey);
      },
      'algorithm-refused',
    ],
    [
      'that brings its own key along',
      () => forge({ ...header, jwk: { kty: 'OKP', crv: 'Ed25519', x: bob.publicKey } }, statement, bob),
      'signature-forged',
    ],
    ['that is no token', () => 'hello', 'statement-malformed'],
    ['that is empty', () => '', 'statement-malformed'],
    ['with a fourth part', () => `${forge(header, statement)}.x`, 'statement-malformed'],
    ['that is too large', () => forge(header, { ...statement, reason: 'x'.repeat(12 * 1024) }), 'statement-too-large'],
  ])('%s is refused', async (_title, make, code) => {
    expect(await codeOf(await make())).toBe(code);
  });

  test('is told from a good one by any single changed character before the end of the signature', async () => {
    const jws = forge(header, statement);
    // The last character of 64 bytes in base64url carries four bits that mean nothing.
    for (let place = 0; place < jws.length - 1; place += 7) {
      const changed = jws.slice(0, place) + (jws[place] === 'A' ? 'B' : 'A') + jws.slice(place + 1);
      expect(await codeOf(changed)).not.toBe('ok');
    }
  });
});

describe('the key of the signer', () => {
  const jws = forge(header, statement);

  test('that nobody knows is asked for', async () => {
    expect(verifyStatement(jws, expectedOf(statement), undefined, now)).toEqual({
      ok: false,
      code: 'person-unknown',
      reason: 'No public key of ann is known.',
      remedy: 'Have the platform team add a key of ann to people in holdpoint.yaml.',
    });
  });

  test.each(['', 'oops', `${ann.publicKey}=`, `${ann.publicKey}AA`, ann.publicKey.slice(0, -2), ` ${ann.publicKey}`])(
    'that is written as %j is refused as malformed',
    async (publicKey) => expect(await codeOf(jws, publicKey)).toBe('key-malformed'),
  );

  test('of another person does not fit', async () => {
    expect(await codeOf(jws, bob.publicKey)).toBe('signature-forged');
  });
});

describe('the age of a statement', () => {
  async function codeAt(offsetMs: number): Promise<string> {
    const arrival = new Date(Date.parse(statement.at) + offsetMs);
    const result = verifyStatement(forge(header, statement), expectedOf(statement), { key: ann.publicKey }, arrival);
    return result.ok ? 'ok' : `${result.code}: ${result.reason}`;
  }

  test('may be anything up to the limit, give or take the clocks', async () => {
    expect(await codeAt(-clockSkewMaxMs)).toBe('ok');
    expect(await codeAt(statementAgeMaxMs + clockSkewMaxMs)).toBe('ok');
  });

  test('cannot be negative', async () => {
    expect(await codeAt(-clockSkewMaxMs - 1)).toBe(
      'statement-from-future: The statement of ann is dated 2026-11-21T10:00:00.000Z, ' +
        'which is later than 2026-11-21T09:58:59.999Z on the worker.',
    );
  });

  test('cannot be over the limit, unless it is read from a record', async () => {
    expect(await codeAt(statementAgeMaxMs + clockSkewMaxMs + 1)).toBe(
      'statement-stale: The statement of ann was signed at 2026-11-21T10:00:00.000Z and arrived at 2026-11-21T10:16:00.001Z; ' +
        'it counts for 15 minutes.',
    );
    expect(checkSignature(forge(header, statement), expectedOf(statement), { key: ann.publicKey }, 'signing').ok).toBe(true);
  });
});

describe('the age of a pre-approval', () => {
  const preApproval = statements['pre-approval'];

  async function codeAt(arrival: string, change: Partial<typeof preApproval> = {}): Promise<string> {
    const signed = { ...preApproval, ...change };
    const result = verifyStatement(forge(header, signed), expectedOf(signed), { key: ann.publicKey }, new Date(arrival));
    return result.ok ? 'ok' : result.code;
  }

  test('is limited by the end of its opening, not by minutes', async () => {
    expect(await codeAt('2026-11-21T10:01:00Z')).toBe('ok');
    expect(await codeAt('2026-11-28T22:00:00Z')).toBe('ok');
    expect(await codeAt('2026-11-29T02:00:00.000Z')).toBe('ok');
    expect(await codeAt('2026-11-29T02:00:00.001Z')).toBe('pre-approval-expired');
  });

  test('cannot be negative, and its opening cannot be far away', async () => {
    expect(await codeAt('2026-11-21T09:00:00Z')).toBe('statement-from-future');
    expect(await codeAt('2026-11-21T10:01:00Z', { notAfter: '2026-12-22T10:00:00.000Z' })).toBe('ok');
    expect(await codeAt('2026-11-21T10:01:00Z', { notAfter: '2026-12-22T10:00:00.001Z' })).toBe('pre-approval-malformed');
  });
});
