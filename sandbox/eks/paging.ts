import { invalidParameter } from './errors.ts';
import { limits } from './model.ts';

/**
 * One page of names, in order. The token holds the last name of the page before, so that names which come or go
 * between two calls shift nothing.
 */
export function pageOf(names: string[], query: URLSearchParams): { page: string[]; nextToken: string | null } {
  const size = pageSizeOf(query.get('maxResults'));
  const after = lastNameOf(query.get('nextToken'));
  const rest = names.filter((name) => after === undefined || name > after).sort();
  const page = rest.slice(0, size);
  const last = page.at(-1);
  return { page, nextToken: rest.length > size && last !== undefined ? Buffer.from(`after:${last}`).toString('base64url') : null };
}

function pageSizeOf(maxResults: string | null): number {
  if (maxResults === null) return limits.pageSize;
  const size = Number(maxResults);
  if (Number.isInteger(size) && size >= 1 && size <= limits.pageSize) return size;
  throw invalidParameter(`maxResults must be a whole number from 1 to ${limits.pageSize}, not ${maxResults}`);
}

function lastNameOf(token: string | null): string | undefined {
  if (token === null) return undefined;
  const text = Buffer.from(token, 'base64url').toString();
  if (!text.startsWith('after:')) throw invalidParameter('The specified nextToken is invalid.');
  return text.slice('after:'.length);
}
