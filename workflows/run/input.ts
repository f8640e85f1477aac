import { ApplicationFailure } from '@temporalio/workflow';
import { claimNames } from '../../domain/approval/statement.ts';
import { isObject } from '../../domain/json.ts';
import type { RunInput } from '../messages.ts';

const texts = ['run', 'target', 'requester', 'planHash', 'signature'] as const;

/** Whether what is given as a ticket is none, or has the shape of one. */
function isTicket(given: unknown): boolean {
  if (given === undefined) return true;
  return isObject(given) && typeof given.id === 'string' && (given.link === undefined || typeof given.link === 'string');
}

/** Whether what is given as the schedule that starts a run is none, or has the shape of one. */
function isSchedule(given: unknown): boolean {
  if (given === undefined) return true;
  if (!isObject(given) || !isObject(given.claims)) return false;
  const { opens, closes, claims } = given;
  return [opens, closes, ...claimNames('schedule', 'text').map((name) => claims[name])].every((value) => typeof value === 'string');
}

/**
 * Whoever reaches Temporal can start a run with anything. What has not even the shape of an input fails at once: an error of the code would
 * have the server hand out the same task for ever.
 */
export function requireShape(input: RunInput, continued: unknown): void {
  const given: unknown = input;
  const isWhole =
    isObject(given) &&
    texts.every((name) => typeof given[name] === 'string') &&
    isObject(given.inputs) &&
    isObject(given.document) &&
    typeof given.document.text === 'string' &&
    typeof given.document.file === 'string' &&
    isTicket(given.ticket) &&
    isSchedule(given.schedule) &&
    (continued === undefined ||
      (isObject(continued) && isObject(continued.run) && isObject(continued.run.state) && isObject(continued.progress)));
  if (isWhole) return;
  throw ApplicationFailure.create({
    type: 'request-malformed',
    message: 'This was not started by `holdpoint start`: what it was started with is not the input of a run.',
    nonRetryable: true,
  });
}
