import { ApplicationFailure } from '@temporalio/common';
import { statementCharactersMax } from '../../domain/approval/statement.ts';

/** Whoever can reach Temporal can send anything: what is not text of a bounded length gets no further. */
export function requireShape(request: object, texts: readonly string[], integers: readonly string[] = []): void {
  const values = request as Record<string, unknown>;
  const isText = (name: string): boolean => {
    const value = values[name];
    // Lone surrogates have no canonical JSON: the record could not take them.
    return typeof value === 'string' && value.length <= statementCharactersMax && !/\p{Surrogate}/u.test(value);
  };
  const wrong = [...texts.filter((name) => !isText(name)), ...integers.filter((name) => !Number.isInteger(values[name]))];
  if (wrong.length === 0) return;
  const reason = `The request has no usable ${wrong.join(', ')}.`;
  throw refusalFailure({ code: 'request-malformed', reason, remedy: 'Use the same version of `holdpoint` as the worker.' });
}

/** A refusal as its sender sees it; `recorded` says that the run has written it down by itself. */
export function refusalFailure(refusal: { code: string; reason: string; remedy: string }, recorded = false): ApplicationFailure {
  const { code, reason, remedy } = refusal;
  return ApplicationFailure.create({ type: code, message: reason, nonRetryable: true, details: [{ remedy, recorded }] });
}
