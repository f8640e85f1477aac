import { ApplicationFailure } from '@temporalio/common';
import { statementCharactersMax } from '../../domain/approval/statement.ts';
import { isObject } from '../../domain/json.ts';
import type { RefusedAttempt } from '../messages.ts';
import type { Failure } from './failure.ts';

/** From this patch on a run writes down by itself what it refuses. */
export const recordedRefusalsPatch = 'recorded-refusals';

/** Something that was sent and is refused, whatever its signature is worth, and whether somebody known has signed it all the same. */
export interface RefusedWord extends RefusedAttempt {
  remedy: string;
  isSigned: boolean;
}

/** Whoever can reach Temporal can send anything: says what is not text of a bounded length, or no integer; undefined where all fits. */
export function misshapen(request: unknown, texts: readonly string[], integers: readonly string[] = []): Failure | undefined {
  const values = isObject(request) ? request : {};
  const isText = (name: string): boolean => {
    const value = values[name];
    // Lone surrogates have no canonical JSON: the record could not take them.
    return typeof value === 'string' && value.length <= statementCharactersMax && !/\p{Surrogate}/u.test(value);
  };
  const wrong = [...texts.filter((name) => !isText(name)), ...integers.filter((name) => !Number.isInteger(values[name]))];
  if (wrong.length === 0) return undefined;
  const reason = `The request has no usable ${wrong.join(', ')}.`;
  return { code: 'request-malformed', reason, remedy: 'Use the same version of `holdpoint` as the worker.' };
}

/** A refusal as its sender sees it; `recorded` says that the run has written it down by itself. */
export function refusalFailure(refusal: Failure, recorded = false): ApplicationFailure {
  const { code, reason, remedy } = refusal;
  return ApplicationFailure.create({ type: code, message: reason, nonRetryable: true, details: [{ remedy, recorded }] });
}
