import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { commandNames, type CommandName } from '../../../domain/approval/statement.ts';
import {
  givenCommand,
  initialIntent,
  isInterrupted,
  isUnanswered,
  next,
  pausedBy,
  possibleCommands,
  refusalOfCommand,
  type Intent,
  type IntentEvent,
  type OperatorCommand,
  type Situation,
} from '../../../domain/run/intent.ts';

const commandOf = (command: CommandName, person = 'dana'): OperatorCommand => ({
  command,
  person,
  reason: 'why',
  at: '2026-11-21T10:00:00Z',
});
const undo = commandOf('undo');
const abort = commandOf('abort', 'ada');
const given: Intent = { want: 'asked', asked: undo, stage: 'given', paused: undefined };
const taken: Intent = { ...given, stage: 'taken' };
const paused: Intent = { want: 'go-on', paused: 'dana' };

describe('next', () => {
  test.each<[string, Intent, IntentEvent | OperatorCommand, Intent]>([
    ['pause', initialIntent, commandOf('pause'), paused],
    ['a second pause keeps who asked first', paused, commandOf('pause', 'ada'), paused],
    ['resume', paused, commandOf('resume'), { want: 'go-on' }],
    ['a command that needs an answer', initialIntent, undo, given],
    ['the same while paused', paused, undo, { ...given, paused: 'dana' }],
    ['resume takes back what nobody has taken up', { ...given, paused: 'dana' }, commandOf('resume'), paused],
    ['resume withdraws what is being dealt with', taken, commandOf('resume'), { ...taken, withdrawnAt: '2026-11-21T10:00:00Z' }],
    ['another command does not replace it', taken, commandOf('retry'), taken],
    ['taken up', given, { event: 'taken' }, taken],
    ['nothing to take up', paused, { event: 'taken' }, paused],
    ['settled', { ...taken, paused: 'dana' }, { event: 'settled' }, paused],
    ['a rollback ends a pause', { ...taken, paused: 'dana' }, { event: 'rollback-began' }, { want: 'go-on' }],
    ['abort', initialIntent, abort, { want: 'abort', by: abort }],
    ['abort overtakes what was asked', taken, abort, { want: 'abort', by: abort }],
    ['abort stays', { want: 'abort', by: abort }, commandOf('resume'), { want: 'abort', by: abort }],
    ['nothing settles an abort', { want: 'abort', by: abort }, { event: 'settled' }, { want: 'abort', by: abort }],
    ['ending', { want: 'abort', by: abort }, { event: 'ending' }, { want: 'end' }],
    ['nothing counts after the end', { want: 'end' }, undo, { want: 'end' }],
  ])('%s', (_title, before, event, after) => {
    expect(next(before, 'event' in event ? event : { event: 'commanded', command: event })).toEqual(after);
  });

  test('an abort is never lost, whatever is said and done after it', () => {
    const anyEvent: fc.Arbitrary<IntentEvent> = fc.oneof(
      fc.constantFrom(...commandNames).map((name): IntentEvent => ({ event: 'commanded', command: commandOf(name) })),
      fc.constantFrom<IntentEvent>({ event: 'taken' }, { event: 'settled' }, { event: 'rollback-began' }),
    );
    fc.assert(
      fc.property(fc.array(anyEvent), fc.array(anyEvent), (before, after) => {
        let intent = before.reduce(next, initialIntent);
        intent = next(intent, { event: 'commanded', command: abort });
        intent = after.reduce(next, intent);
        expect(intent.want).toBe('abort');
        expect(isInterrupted(intent)).toBe(true);
      }),
    );
  });
});

test('who has asked for a pause, and which command waits', () => {
  expect(pausedBy(paused)).toBe('dana');
  expect(pausedBy({ want: 'abort', by: abort })).toBeUndefined();
  expect(isInterrupted(given)).toBe(false);
  expect(givenCommand(given)).toBe(undo);
  expect(givenCommand(taken)).toBeUndefined();
  expect(isUnanswered(taken, undo)).toBe(true);
  expect(isUnanswered(taken, commandOf('undo'))).toBe(false);
});

const holding: Situation = { phase: 'holding', stuckAtAction: false, rollingBack: false, canRollBack: false };
const stuck: Situation = {
  ...holding,
  phase: 'stuck',
  stuck: { step: 'drain', code: 'action-stuck', reason: '', remedy: '' },
  stuckAtAction: true,
};

describe('the commands that are allowed', () => {
  test.each<[string, Intent, Situation, CommandName[]]>([
    ['at a hold', initialIntent, holding, ['pause', 'abort']],
    ['at a hold with something to undo', initialIntent, { ...holding, canRollBack: true }, ['pause', 'undo', 'abort']],
    ['while a step runs', initialIntent, { ...holding, phase: 'running', canRollBack: true }, ['pause', 'abort']],
    ['parked', initialIntent, { ...holding, phase: 'parked', canRollBack: true }, ['proceed', 'pause', 'undo', 'abort']],
    ['paused', paused, { ...holding, phase: 'paused' }, ['resume', 'abort']],
    ['stuck at an action', initialIntent, stuck, ['retry', 'skip', 'done', 'pause', 'abort']],
    ['stuck at a hold', initialIntent, { ...stuck, stuckAtAction: false }, ['retry', 'pause', 'abort']],
    [
      'stuck at a change of somebody else',
      initialIntent,
      { ...stuck, stuck: { step: 'drain', code: 'change-in-flight', reason: '', remedy: '' } },
      ['retry', 'skip', 'done', 'adopt', 'pause', 'abort'],
    ],
    ['rolling back', initialIntent, { ...stuck, rollingBack: true, canRollBack: true }, ['retry', 'skip', 'done', 'pause', 'abort']],
    ['asked for something', taken, stuck, ['resume', 'abort']],
    ['aborted', { want: 'abort', by: abort }, stuck, []],
    ['done', initialIntent, { ...holding, phase: 'done' }, []],
  ])('%s', (_title, intent, situation, commands) => {
    expect(possibleCommands(intent, situation)).toEqual(commands);
  });

  test.each<[string, Intent, Situation, CommandName, string, string]>([
    ['another step than the stuck one', initialIntent, stuck, 'retry', 'green', 'it is stuck at drain, and the command was about green'],
    ['no step', initialIntent, stuck, 'skip', '', 'it is stuck at drain, and the command was about no step'],
    ['a run that is aborted', { want: 'abort', by: abort }, stuck, 'retry', 'drain', 'it is being aborted'],
    ['a run that ends', { want: 'end' }, holding, 'pause', '', 'it is ending'],
    ['a request of an operator', taken, { ...holding, exceptionHold: 'undo' }, 'pause', '', 'it waits for a signature at hold undo'],
    ['a run that rolls back', initialIntent, { ...stuck, rollingBack: true }, 'undo', '', 'it is rolling back already'],
    ['nothing to undo', initialIntent, holding, 'undo', '', 'it has changed nothing yet that could be undone'],
    ['a pause that has not taken hold', paused, holding, 'retry', '', 'it is pausing, and holding until then'],
    ['a hold', initialIntent, holding, 'retry', '', 'it is holding'],
  ])('a command is refused for %s', (_title, intent, situation, command, named, cause) => {
    const isNeeded = ['retry', 'skip', 'done', 'adopt'].includes(command);
    expect(refusalOfCommand(intent, situation, command, { named, isNeeded })).toMatchObject({ cause });
  });

  test('a command is let through where it makes sense', () => {
    expect(refusalOfCommand(initialIntent, stuck, 'retry', { named: 'drain', isNeeded: true })).toBeUndefined();
  });
});
