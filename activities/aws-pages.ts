import { formatTarget, type Target } from '../domain/target.ts';
import { HoldpointError } from '../domain/errors.ts';
import { awsError } from './failure.ts';

/** What EKS and RDS give in one answer at most. */
export const pageSize = 100;
const pagesMax = 20;

/**
 * Reads a whole list of EKS or RDS, page by page. Throws `aws-…` errors; `aws-refused` where it has more than 2,000 items.
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
    // RDS may end a list by an empty one.
    if (nextToken === undefined || nextToken === '') return all;
  }
  throw new HoldpointError('aws-refused', { call, target: formatTarget(target), cause: `it lists more than ${pagesMax * pageSize} items` });
}
