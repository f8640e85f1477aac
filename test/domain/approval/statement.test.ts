import { describe, expect, test } from '@jest/globals';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import {
  bytesToSign,
  claimNames,
  commandNames,
  differingClaim,
  expectedOf,
  isPersonId,
  readStatement,
  signedWith,
  statementFor,
  type Statement,
  type StatementKind,
} from '../../../domain/approval/statement.ts';
import { statements, statementsByKind, statedQuestion } from '../../support/statements.ts';

const signedBy = { person: 'ann', at: '2026-11-21T10:00:00.000Z', nonce: 'n-1' };

function claimsOf(statement: Statement): Record<string, unknown> {
  return { ...statement };
}

/** The header and the claims in what is signed. */
function decoded(statement: Statement): string[] {
  const parts = Buffer.from(bytesToSign(statement)).toString('latin1').split('.');
  return parts.map((part) => Buffer.from(part, 'base64url').toString('utf8'));
}

describe('the id of a person', () => {
  test.each(['ann', 'a', 'ann.b-c_9', 'a'.repeat(63)])('may be %s', (text) => expect(isPersonId(text)).toBe(true));

  test.each(['', 'Ann', '9ann', '.ann', '../ann', 'ann/bob', 'ann bob', 'ann\n', 'änn', 'a'.repeat(64)])('cannot be %j', (text) =>
    expect(isPersonId(text)).toBe(false),
  );
});

describe('a statement is made of what was shown', () => {
  test('at the start: the plan of the first span', () => {
    const { run, target, runbook, planHash } = statements.start;
    const forecast = { target, runbook: { digest: runbook }, spans: [{ plan: { hash: planHash } }, { plan: { hash: 'later' } }] };
    expect(statementFor({ kind: 'start', run, forecast }, signedBy)).toEqual(statements.start);
  });

  test('at a hold: the request that was shown', () => {
    const { run, hold, request: number, planHash, decision, reason } = statements.decision;
    const request = { hold, number, planHash, question: statedQuestion };
    expect(statementFor({ kind: 'decision', run, request, decision, reason }, signedBy)).toEqual(statements.decision);
  });

  test.each(commandNames)('with the command %s: the stuck step, where it is about that', (command) => {
    const made = statementFor({ kind: 'command', state: { run: 'r-1', stuck: { step: 'drain' } }, command, reason: 'why' }, signedBy);
    const step = ['retry', 'skip', 'done', 'adopt'].includes(command) ? 'drain' : '';
    expect(made).toEqual({ kind: 'command', run: 'r-1', command, step, reason: 'why', ...signedBy });
    expect(statementFor({ kind: 'command', state: { run: 'r-1' }, command, reason: 'why' }, signedBy)).toMatchObject({ step: '' });
  });

  test('beforehand: the opening, and whatever it is to count for', () => {
    const { person: _person, at: _at, nonce: _nonce, ...shown } = statements['pre-approval'];
    expect(statementFor(shown, signedBy)).toEqual(statements['pre-approval']);
  });
});

describe('what is signed', () => {
  test.each(statementsByKind)('of kind %s is the header and the claims as canonical JSON', (_kind, statement) => {
    expect(decoded(statement)).toEqual(['{"alg":"EdDSA","kid":"ann","typ":"holdpoint+jws"}', canonicalize(statement)]);
  });

  test('is canonical for any text, and the same for claims in another order', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.maxSafeInteger(), (reason, request) => {
        const statement = { ...statements.decision, reason, request };
        const turned = Object.fromEntries(Object.entries(statement).reverse()) as unknown as Statement;
        expect(decoded(statement)[1]).toBe(canonicalize(statement));
        expect(bytesToSign(turned)).toEqual(bytesToSign(statement));
      }),
    );
  });

  test('is followed by the signature in what is sent', () => {
    const signature = Uint8Array.from({ length: 64 }, (_none, index) => index * 4);
    const sent = signedWith(statements.start, signature);
    expect(sent).toBe(`${Buffer.from(bytesToSign(statements.start)).toString('latin1')}.${Buffer.from(signature).toString('base64url')}`);
  });
});

describe('claims', () => {
  test.each(statementsByKind)('of kind %s are listed once, and agree when all but time and nonce do', (kind, statement) => {
    const expected = expectedOf(statement);
    expect(Object.keys(expected).sort()).toEqual(['kind', ...claimNames(kind)].sort());
    expect(differingClaim({ ...statement, at: 'another time', nonce: 'another' }, expected)).toBeUndefined();
    expect([...claimNames(kind, 'text'), ...claimNames(kind, 'integer')].sort()).toEqual(claimNames(kind).sort());
  });

  test('are sent as text or as whole numbers', () => {
    expect(claimNames('decision', 'integer')).toEqual(['request']);
    expect(claimNames('decision', 'text')).toEqual(['person', 'run', 'hold', 'planHash', 'question', 'decision', 'reason']);
  });

  const everyClaim = statementsByKind.flatMap(([kind]) =>
    ['kind', ...claimNames(kind)].map((claim): [StatementKind, string] => [kind, claim]),
  );

  test.each(everyClaim)('of kind %s differ when %s does', (kind, claim) => {
    const statement: Statement = statements[kind];
    const changed = { ...statement, [claim]: 'other' } as unknown as Statement;
    expect(differingClaim(changed, expectedOf(statement))?.claim).toBe(claim);
  });
});

describe('what somebody has signed', () => {
  test.each(statementsByKind)('of kind %s is read as it is', (_kind, statement) => {
    expect(readStatement(JSON.parse(JSON.stringify(statement)))).toEqual({ statement });
  });

  const everyClaim = statementsByKind.flatMap(([kind, statement]) =>
    Object.keys(statement).map((claim): [StatementKind, string] => [kind, claim]),
  );

  test.each(everyClaim)('of kind %s is refused without its %s, and with one of another type', (kind, claim) => {
    const { [claim]: value, ...rest } = claimsOf(statements[kind]);
    expect(readStatement(rest)).toEqual({ wrong: [claim] });
    for (const other of [null, [value], { value }, typeof value === 'number' ? String(value) : 7, true]) {
      expect(readStatement({ ...rest, [claim]: other })).toEqual({ wrong: [claim] });
    }
  });

  test.each<[string, object, string[]]>([
    ['a claim too many', { ...statements.start, admin: true }, ['admin']],
    ['a claim of another kind', { ...statements.start, reason: 'why' }, ['reason']],
    ['a claim called like a property of every object', { ...statements.start, constructor: 'x' }, ['constructor']],
    ['no nonce', { ...statements.start, nonce: '' }, ['nonce']],
    ['a time that is none', { ...statements.start, at: '2026-02-30T10:00:00Z' }, ['at']],
    ['an opening that is none', { ...statements['pre-approval'], notAfter: 'Sunday' }, ['notAfter']],
    ['a word that is not foreseen', { ...statements.decision, decision: 'shrug' }, ['decision']],
    ['a command that is none', { ...statements.command, command: 'explode' }, ['command']],
    ['a broken number', { ...statements.decision, request: 1.5 }, ['request']],
    ['another kind', { ...statements.decision, kind: 'toString' }, ['kind']],
    ['nothing', [], ['the whole']],
  ])('is refused with %s', (_what, value, wrong) => expect(readStatement(value)).toEqual({ wrong }));
});

describe('a ticket', () => {
  const { kind, run, target, runbook, planHash, person, at, nonce } = statements.start;
  const forecast = { target, runbook: { digest: runbook }, spans: [{ plan: { hash: planHash } }] };
  const ticket = { id: 'CHG-7', link: 'https://tickets.example/CHG-7' };
  const statement = statementFor({ kind, run, forecast, ticket }, { person, at, nonce });

  test('is signed with the start, and a start without one is signed as before', () => {
    expect(statement).toEqual({ ...statements.start, ticket: ticket.id, ticketLink: ticket.link });
    expect(readStatement(JSON.parse(JSON.stringify(statement)))).toEqual({ statement });
    expect(statementFor({ kind, run, forecast }, { person, at, nonce })).toEqual(statements.start);
  });

  test('that is another one, or that nobody expects, is a difference', () => {
    expect(differingClaim(statement, expectedOf(statement))).toBeUndefined();
    expect(differingClaim(statement, { ...expectedOf(statement), ticket: 'CHG-8' })?.claim).toBe('ticket');
    expect(differingClaim(statement, expectedOf(statements.start))?.claim).toBe('ticket');
    expect(differingClaim(statements.start, expectedOf(statement))?.claim).toBe('ticket');
    expect(readStatement({ ...statements.decision, ticket: 'CHG-7' })).toEqual({ wrong: ['ticket'] });
    expect(readStatement({ ...statement, ticketLink: 7 })).toEqual({ wrong: ['ticketLink'] });
  });
});
