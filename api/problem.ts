import { isResponseSerializationError, hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { RefusedError } from '../client/remote-error.ts';
import { errorKinds, HoldpointError, ToldError } from '../domain/errors.ts';
import type { Problem } from './schema/answers.ts';

/** How long a client is to wait before it asks again for what may pass by itself. */
const retryAfterSeconds = 5;

/** The statuses of HTTP that codes of the registry have; `refuse` is 409 otherwise, and `retry` 503. */
const statuses: Readonly<Record<number, readonly string[]>> = {
  401: ['session-missing', 'token-refused', 'sign-in-failed'],
  403: [
    'role-missing',
    'origin-refused',
    'person-differs',
    'person-unknown',
    'identity-ambiguous',
    'requester-excluded',
    'earlier-approver-excluded',
    'person-excluded',
    'asker-excluded',
    'not-in-group',
    'glass-not-yours',
    'rule-operator',
    'rule-hold',
    'rule-policy',
    'rule-setting',
    'signer-differs',
    'signature-forged',
    'key-early',
    'key-over',
    'key-revoked',
    'passkey-unknown',
    'passkey-challenge-differs',
    'passkey-origin-differs',
    'passkey-framed',
    'passkey-user-not-verified',
    'passkey-flags-wrong',
  ],
  404: ['run-unknown', 'runbook-unknown', 'opening-not-found', 'plan-unknown', 'route-unknown', 'record-unknown'],
  413: ['request-too-large'],
  415: ['media-type-refused'],
  421: ['host-refused'],
  422: [
    'request-malformed',
    'inputs-invalid',
    'runbook-invalid',
    'statement-too-large',
    'statement-malformed',
    'statement-from-future',
    'statement-stale',
    'claim-differs',
    'algorithm-refused',
    'decision-unknown',
    'delegation-malformed',
    'reason-missing',
    'reason-too-long',
    'reason-unreadable',
    'work-too-large',
    'check-too-long',
  ],
  429: ['too-many-writes', 'too-many-refusals', 'too-many-streams'],
  502: ['shown-forged', 'target-occupied', 'temporal-denied', 'namespace-unknown', 'temporal-tls-failed'],
  503: ['worker-missing', 'temporal-unreachable'],
  504: ['word-unanswered'],
};

const statusOfCode = new Map(Object.entries(statuses).flatMap(([status, codes]) => codes.map((code) => [code, Number(status)] as const)));

/** An error as it is told over HTTP, and for how many seconds to wait with another attempt, where that helps. */
export interface ToldProblem {
  problem: Problem;
  retryAfterSeconds?: number;
}

/** What is told of an error; of one that nobody has foreseen nothing but that it was, as it may have anything in it. */
export function problemOf(error: unknown, run?: string): ToldProblem {
  const { code, message, remedy, recorded } = toldOf(error);
  const status = statusOf(code);
  const problem = {
    type: `/errors#${code}`,
    title: titleOf(code),
    status,
    detail: message,
    code,
    remedy,
    ...(run !== undefined && { run }),
    // A plan that was asked for before there is a run has no record.
    ...(recorded !== undefined && run !== undefined && { recorded }),
  };
  return { problem, ...([429, 503, 504].includes(status) && { retryAfterSeconds }) };
}

function statusOf(code: string): number {
  const known = statusOfCode.get(code);
  if (known !== undefined) return known;
  if (code === 'unexpected') return 500;
  return Object.hasOwn(errorKinds, code) && errorKinds[code as keyof typeof errorKinds].consequence === 'retry' ? 503 : 409;
}

function titleOf(code: string): string {
  const words = code.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function toldOf(error: unknown): { code: string; message: string; remedy: string; recorded?: boolean } {
  // A refusal by the run is in its record, if not by itself then as our client has told it.
  if (error instanceof RefusedError) return { code: error.code, message: error.message, remedy: error.remedy, recorded: true };
  if (error instanceof ToldError) return { code: error.code, message: error.message, remedy: error.remedy };
  if (hasZodFastifySchemaValidationErrors(error)) {
    const cause = error.validation.map(({ instancePath, message }) => `${instancePath || 'the whole'}: ${message ?? 'does not fit'}`);
    return toldOf(malformed(cause.join('; ')));
  }
  const { code } = (error ?? {}) as { code?: unknown };
  switch (isResponseSerializationError(error) ? undefined : code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return toldOf(new HoldpointError('request-too-large'));
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return toldOf(new HoldpointError('media-type-refused'));
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return toldOf(malformed('its body is no JSON'));
  }
  const { statusCode } = (error ?? {}) as { statusCode?: unknown };
  if (statusCode === 400) return toldOf(malformed('its address or its body cannot be read'));
  return {
    code: 'unexpected',
    message: 'Something went wrong that nobody has foreseen.',
    remedy: 'The log of `holdpoint serve` says what.',
  };
}

/** A request that cannot be understood; `cause` says why, after a colon. */
export function malformed(cause: string): HoldpointError {
  return new HoldpointError('request-malformed', { cause }, { remedy: 'Send what /api/v1/openapi.json describes.' });
}
