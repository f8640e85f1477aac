import { isDeepStrictEqual } from 'node:util';
import { invalidParameter } from './errors.ts';
import { limits } from './model.ts';

interface RememberedAnswer {
  request: unknown;
  answer: unknown;
}

/**
 * Makes requests with a `clientRequestToken` idempotent: the same request again gets the same answer and does nothing;
 * another request under the same token is refused. Only successes are remembered.
 */
export class RequestTokens {
  private readonly remembered = new Map<string, RememberedAnswer>();

  once(token: string, request: unknown, act: () => unknown): unknown {
    const known = this.remembered.get(token);
    if (known !== undefined) {
      if (isDeepStrictEqual(known.request, request)) return known.answer;
      throw invalidParameter(`The clientRequestToken ${token} was already used for a request with other parameters.`);
    }
    const answer = act();
    this.remembered.set(token, { request, answer });
    this.forgetOldest();
    return answer;
  }

  private forgetOldest(): void {
    const [oldest] = this.remembered.keys();
    if (this.remembered.size > limits.requestTokensRemembered && oldest !== undefined) this.remembered.delete(oldest);
  }
}
