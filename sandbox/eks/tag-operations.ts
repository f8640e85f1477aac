import type { Account } from './account.ts';
import { badTagRequest, tagTargetNotFound } from './errors.ts';
import { limits, type Cluster, type Nodegroup } from './model.ts';
import { readBody, tagResourceBody } from './requests.ts';

/** @throws EksError NotFoundException. */
export function listTags(account: Account, arn: string): { tags: Record<string, string> } {
  return { tags: taggedResource(account, arn).tags };
}

/** @throws EksError NotFoundException, BadRequestException. */
export function tagResource(account: Account, arn: string, body: unknown): object {
  const resource = taggedResource(account, arn);
  const tags = { ...resource.tags, ...readBody(tagResourceBody, body).tags };
  if (Object.keys(tags).length > limits.tagsPerResource) throw badTagRequest(`A resource can have at most ${limits.tagsPerResource} tags`);
  resource.tags = tags;
  return {};
}

/** @throws EksError NotFoundException. */
export function untagResource(account: Account, arn: string, keys: string[]): object {
  const resource = taggedResource(account, arn);
  resource.tags = Object.fromEntries(Object.entries(resource.tags).filter(([key]) => !keys.includes(key)));
  return {};
}

function taggedResource(account: Account, arn: string): Cluster | Nodegroup {
  const resource = account.resource(arn);
  if (resource === undefined) throw tagTargetNotFound(arn);
  return resource;
}
