import type { ActionContext } from '../../domain/action.ts';
import type { JsonObject } from '../../domain/json.ts';
import { digestOf } from '../../domain/plan/plan.ts';

/** EKS accepts up to 64 characters. */
const tokenLength = 48;

/**
 * The clientRequestToken of what a step asks for: the same for every attempt of it, so that EKS does the change once however
 * often it is asked; a new one when an operator has the step tried again after it had failed, and for the rollback,
 * since EKS refuses a token that comes with another request.
 */
export function requestToken({ run, step, retry }: ActionContext, request: JsonObject): string {
  return `holdpoint-${digestOf({ run, step, retry, request }).slice('sha256:'.length)}`.slice(0, tokenLength);
}
