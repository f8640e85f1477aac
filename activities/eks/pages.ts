import type { Target } from '../../domain/target.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { awsError } from '../failure.ts';

/** What EKS gives in one answer at most. */
export const pageSize = 100;
const pagesMax = 20;

/**
 * Reads a whole list of EKS, page by page. Throws `aws-…` errors; `aws-refused` where it has more than 2,000 items.
 *
 * @param read what asks for the page that a token stands for, the first one without.
 */
export async function listAllOf<Item>(
  call: string,
  target: Target,
  read: (nextToken: string | undefined) => Promise<{ items?: Item[]; nextToken?: string }>,
): Promise<Item[]> {
  const all: Item[] = [];
  let nextToken: string | undefined;
  for (let page = 0; page < pagesMax; page += 1) {
    const answer = await read(nextToken).catch((error: unknown) => Promise.reject(awsError(error, call, target)));
    all.push(...(answer.items ?? []));
    nextToken = answer.nextToken;
    if (nextToken === undefined) return all;
  }
  throw new HoldpointError('aws-refused', { call, target: nameOf(target), cause: `it lists more than ${pagesMax * pageSize} items` });
}

function nameOf({ kind, region, name }: Target): string {
  return `${kind}/${region}/${name}`;
}
