import { HoldpointError } from '../../domain/errors.ts';
import type { Endpoint } from '../../runbooks/configuration/endpoints.ts';
import { boundedFetch } from '../http.ts';
import { readSecret } from '../secret.ts';

/** What one question to an endpoint may take. */
export const endpointLimits = { timeoutMs: 10_000, bytesMax: 1024 * 1024 };

/** The endpoints of holdpoint.yaml as it is now, with absolute paths. */
export type ReadEndpoints = () => Promise<Readonly<Record<string, Endpoint>>>;

/**
 * Asks an endpoint, with its token where it has one. Throws `action-input-invalid`
 * where there is no such endpoint, and an Error whose message says what is wrong, and holds no secret.
 */
export async function ask(
  readEndpoints: ReadEndpoints,
  { action, endpoint: name }: { action: string; endpoint: string },
  path: string,
  signal: AbortSignal,
): Promise<Response> {
  const endpoints = await readEndpoints();
  const endpoint = Object.hasOwn(endpoints, name) ? endpoints[name] : undefined;
  if (!endpoint) {
    const cause = `there is no endpoint ${name} in \`endpoints\` of holdpoint.yaml of the worker`;
    throw new HoldpointError('action-input-invalid', { action, cause });
  }
  const headers: Record<string, string> = { accept: 'application/json' };
  if (endpoint.token) headers.authorization = `Bearer ${await readSecret(endpoint.token)}`;
  try {
    return await boundedFetch(`${endpoint.url.replace(/\/+$/, '')}${path}`, { signal, headers }, endpointLimits);
  } catch (error) {
    signal.throwIfAborted();
    throw new Error(`${name} gave no answer: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
