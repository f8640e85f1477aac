import type { Target } from './action.ts';

// Names of AWS regions such as `eu-central-1` or `us-gov-west-1`.
const regionPattern = /^[a-z]{2,3}(-[a-z]+)+-\d{1,2}$/;
// EKS API, CreateCluster: letters, digits, `-` and `_`, not at the beginning; at most 100 characters.
const clusterPattern = /^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$/;

/** Why a text names no target that can be maintained. */
export class TargetError extends Error {
  override readonly name = 'TargetError';
}

/** Reads `eks/<region>/<cluster>`. Throws a TargetError that says which part is wrong. */
export function parseTarget(text: string): Target {
  const [kind, region, name, ...rest] = text.split('/');
  if (kind !== 'eks' || region === undefined || name === undefined || rest.length > 0) {
    throw new TargetError(`Target "${text}" must have the form eks/<region>/<cluster>, for example eks/eu-central-1/demo.`);
  }
  if (!regionPattern.test(region)) {
    throw new TargetError(`Target "${text}" names the region "${region}", which is no AWS region such as eu-central-1.`);
  }
  if (!clusterPattern.test(name)) {
    throw new TargetError(
      `Target "${text}" names the cluster "${name}": EKS names are 1 to 100 letters, digits, "-" and "_", the first a letter or digit.`,
    );
  }
  return { kind, region, name };
}

/** The text of a target, as it is used in ids and in plans. */
export function formatTarget(target: Target): string {
  return `${target.kind}/${target.region}/${target.name}`;
}
