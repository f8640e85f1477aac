import type { ActionContext } from '../../domain/action.ts';
import { digestOf } from '../../domain/plan.ts';

/** EKS accepts up to 64 characters. */
const tokenLength = 48;

/**
 * The clientRequestToken of a step: the same for every attempt of it, so that EKS does the change once however often it is
 * asked; a new one when an operator has the step tried again after it had failed.
 */
export function requestToken({ run, step, retry }: ActionContext): string {
  return `holdpoint-${digestOf({ run, step, retry }).slice('sha256:'.length)}`.slice(0, tokenLength);
}
