import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CommandStatement, CommandName } from '../../domain/approval/statement.ts';
import { refusalIn } from '../../client/remote-error.ts';
import { commandUpdate, type CommandRequest } from '../../workflows/messages.ts';
import { runbookOf, startEngine, type Engine, type Person } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('commands');
});
afterAll(() => engine.stop());

async function heldRun(policy?: string): Promise<{ run: string; target: string; site: ReturnType<Engine['newSite']>['site'] }> {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy }));
  await engine.until(target, 'holding');
  return { run, target, site };
}

async function verbOf(run: string, person: Person, command: CommandName, step = ''): Promise<CommandRequest> {
  const at = new Date().toISOString();
  const statement: CommandStatement = { kind: 'command', person, run, command, step, reason: 'because', at, nonce: randomUUID() };
  return { person, run, command, step, reason: 'because', signature: await engine.keys[person].sign(statement) };
}

async function send(target: string, request: CommandRequest): Promise<unknown> {
  const answer = await engine
    .handle(target)
    .executeUpdate(commandUpdate, { args: [request] })
    .catch((error: unknown) => error);
  return refusalIn(answer) ?? answer;
}

async function kindsSince(run: string, count: number): Promise<string[]> {
  return (await engine.verifiedKinds(run)).slice(-count);
}

describe('at a hold', () => {
  test('a paused run stays open for signatures, acts on nothing, and goes on when it is resumed', async () => {
    const { run, target, site } = await heldRun();
    await expect(engine.holdpoint.operate(target, 'pause', 'freeze', engine.keys.grace)).resolves.toEqual({ phase: 'holding' });
    await engine.decide(target, 'ada');
    const paused = await engine.until(target, 'paused');
    expect(paused.pauseRequestedBy).toBe('grace');
    expect(site.looks).toBe(0);
    await engine.holdpoint.operate(target, 'resume', 'freeze is over', engine.keys.grace);
    await engine.until(target, 'done');
    await expect(kindsSince(run, 10)).resolves.toEqual([
      'command.accepted',
      'decision.accepted',
      'run.paused',
      'command.accepted',
      'run.resumed',
      'hold.released',
      'step.started',
      'step.done',
      'annotations.lifted',
      'run.ended',
    ]);
  });

  test('an abort ends the run without touching anything, and later decisions are refused', async () => {
    const { run, target, site } = await heldRun();
    const { hold } = await engine.until(target, 'holding');
    await engine.holdpoint.operate(target, 'abort', 'not today', engine.keys.dana);
    const state = await engine.until(target, 'aborted');
    expect(state.ended).toMatchObject({ reason: 'aborted by dana: not today', leftovers: [] });
    expect(site.looks).toBe(0);
    await expect(kindsSince(run, 2)).resolves.toEqual(['command.accepted', 'run.ended']);
    const late = engine.holdpoint.decide({ run, target }, hold!.request, 'approve', 'too late', engine.keys.ada);
    await expect(late).rejects.toMatchObject({ code: 'hold-not-waiting', message: expect.stringContaining('it is aborted') });
  });

  test('a cancel through Temporal counts as an abort', async () => {
    const { run, target } = await heldRun();
    await engine.handle(target).cancel();
    const state = await engine.until(target, 'aborted');
    expect(state.ended).toMatchObject({ reason: 'cancelled through Temporal' });
    expect(state.hold).toBeUndefined();
    await expect(kindsSince(run, 2)).resolves.toEqual(['hold.requested', 'run.ended']);
  });
});

describe('a word that makes no sense is refused with the ones that do', () => {
  test.each<[CommandName, RegExp]>([
    ['retry', /retry is not allowed now .*: it is holding/],
    ['resume', /resume is not allowed now .*: it is holding/],
  ])('%s at a hold', async (command, message) => {
    const { run, target } = await heldRun();
    const attempt = engine.holdpoint.operate(target, command, 'why not', engine.keys.ada);
    const remedy = 'Commands that are allowed now: pause, abort.';
    await expect(attempt).rejects.toMatchObject({ code: 'command-refused', message: expect.stringMatching(message), remedy });
    await engine.until(target, ({ refusedAttempts }) => refusedAttempts === 1);
    await engine.holdpoint.operate(target, 'abort', 'done with it', engine.keys.ada);
    await engine.until(target, 'aborted');
    const [refused] = (await engine.entries(run)).filter(({ kind }) => kind === 'attempt.refused');
    expect(refused?.body).toMatchObject({ person: 'ada', attempt: command, code: 'command-refused' });
  });

  test('a second pause while the first one is on', async () => {
    const { target } = await heldRun();
    await engine.holdpoint.operate(target, 'pause', 'freeze', engine.keys.grace);
    const attempt = engine.holdpoint.operate(target, 'pause', 'freeze', engine.keys.ada);
    await expect(attempt).rejects.toMatchObject({ remedy: 'Commands that are allowed now: resume, abort.' });
  });

  test('anything after the end', async () => {
    const { target } = await heldRun();
    await engine.decide(target, 'ada', 'reject', 'no');
    await engine.until(target, 'rejected');
    const attempt = engine.holdpoint.operate(target, 'abort', 'again', engine.keys.ada);
    await expect(attempt).rejects.toMatchObject({ code: 'command-refused', message: expect.stringContaining('it is rejected') });
  });

  test('a word that does not exist, for another run, or without its parts', async () => {
    const { run, target } = await heldRun();
    const request = await verbOf(run, 'ada', 'pause');
    const sent: [code: string, request: CommandRequest][] = [
      ['command-refused', { ...request, command: 'explode' as CommandName }],
      ['command-refused', { ...request, run: 'r-other' }],
      ['command-refused', await verbOf(run, 'ada', 'retry')],
      ['request-malformed', { command: 'pause', run } as CommandRequest],
    ];
    for (const [code, given] of sent) await expect(send(target, given)).resolves.toMatchObject({ code, recorded: true });
    expect((await engine.until(target, 'holding')).pauseRequestedBy).toBeUndefined();
    await expect(kindsSince(run, sent.length + 1)).resolves.toEqual(['hold.requested', ...sent.map(() => 'attempt.refused')]);
  });
});

describe('a signature that does not hold is refused and written down', () => {
  test.each<[string, Person, CommandName, Partial<CommandRequest>, string]>([
    ['signed with the key of somebody else', 'grace', 'abort', { person: 'ada' }, 'signature-forged'],
    ['signed for another word', 'ada', 'pause', { command: 'abort' }, 'claim-differs'],
    ['without a signature', 'ada', 'abort', { signature: '' }, 'statement-malformed'],
    ['from a stranger', 'ada', 'abort', { person: 'mallory' }, 'person-unknown'],
  ])('%s', async (_what, signer, command, change, code) => {
    const { run, target } = await heldRun();
    const request = { ...(await verbOf(run, signer, command)), ...change };
    await expect(send(target, request)).resolves.toMatchObject({ code, recorded: true });
    const state = await engine.until(target, 'holding');
    expect(state.refusedAttempts).toBe(1);
    await expect(kindsSince(run, 2)).resolves.toEqual(['hold.requested', 'attempt.refused']);
  });

  test('a copy of a word that was given before does not count again', async () => {
    const { run, target } = await heldRun();
    const pause = await verbOf(run, 'ada', 'pause');
    await send(target, pause);
    await engine.holdpoint.operate(target, 'resume', 'go on', engine.keys.ada);
    await expect(send(target, pause)).resolves.toMatchObject({ code: 'statement-used', recorded: true });
    expect((await engine.until(target, 'holding')).pauseRequestedBy).toBeUndefined();
  });
});
