import type { Nodegroup } from '@aws-sdk/client-eks';
import type { Blocker } from '../../../domain/plan/plan.ts';
import type { ActionContext } from '../../../domain/action.ts';
import { latestRelease, releaseParameters, type ReleaseParameters } from '../../../domain/version/ami-release.ts';
import { kubernetesOfRelease, sameMinorVersion } from '../../../domain/version/version.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';

/** What a node group is asked to be of. */
export interface AskedRelease {
  object: string;
  amiType: Nodegroup['amiType'];
  /** The version of Kubernetes that its nodes will have. */
  version: string;
  releaseVersion?: string;
}

/** The release that is meant, and what AWS says of it. */
export interface KnownRelease {
  releaseVersion?: string;
  /** The newest release of that version; undefined where AWS did not say. */
  newest?: string;
  blockers: Blocker[];
  notes: string[];
}

/**
 * Finds out which AMI release is meant: `latest` is the newest one now, and a release that AWS does not have is refused. Where AWS cannot
 * be asked, a release that is named is taken at its word, and `latest` is refused. Asks for `ssm:GetParameters`. Throws `aws-busy`.
 */
export async function findRelease(clients: Clients, asked: AskedRelease, context: ActionContext): Promise<KnownRelease> {
  const { object, version, releaseVersion } = asked;
  const amiType: string = asked.amiType ?? '';
  const parameters = releaseParameters(amiType, version, releaseVersion);
  const wantsLatest = releaseVersion === latestRelease;
  if (!parameters) {
    const reason = `AWS does not say which releases there are for ${amiType || 'its kind of image'}, so \`latest\` means nothing for it.`;
    return wantsLatest ? { blockers: [unknownLatest(object, reason)], notes: [] } : { releaseVersion, blockers: [], notes: [] };
  }
  const said = await readParameters(clients, parameters, context);
  if ('cause' in said) {
    const reason = `The newest release of ${version} cannot be told: ${said.cause}`;
    if (wantsLatest) return { blockers: [unknownLatest(object, reason)], notes: [] };
    const notes = releaseVersion === undefined ? [] : [`Whether there is a release ${releaseVersion} was not looked at: ${said.cause}`];
    return { releaseVersion, blockers: [], notes };
  }
  const { newest, isThere } = said;
  if (wantsLatest) {
    const reason = `AWS names no release of ${version} for ${amiType}.`;
    return { releaseVersion: newest, newest, blockers: newest === undefined ? [unknownLatest(object, reason)] : [], notes: [] };
  }
  const isUnknown = parameters.named !== undefined && !isThere && releaseVersion !== newest && isOf(releaseVersion, version);
  // A group goes back to what it came from, which was there once: EKS alone says whether it still is.
  if (!isUnknown || context.step.startsWith('undo:')) return { releaseVersion, newest, blockers: [], notes: [] };
  return { releaseVersion, newest, blockers: [unknownRelease(object, asked, newest)], notes: [] };
}

/** A release of another version of Kubernetes is refused for that. */
function isOf(releaseVersion: string | undefined, version: string): boolean {
  const kubernetes = kubernetesOfRelease(releaseVersion ?? '');
  return kubernetes === undefined || sameMinorVersion(kubernetes, version);
}

function unknownLatest(object: string, reason: string): Blocker {
  return { object, reason, remedy: 'Name the release as `releaseVersion`, or let the worker call ssm:GetParameters.', ofInputs: true };
}

function unknownRelease(object: string, { releaseVersion = '', amiType }: AskedRelease, newest?: string): Blocker {
  const instead = newest === undefined ? '' : ` The newest one is ${newest} (\`releaseVersion: ${latestRelease}\`).`;
  return {
    object,
    reason: `AWS has no release ${releaseVersion} for ${String(amiType)}.`,
    remedy: `Name a release that there is.${instead}`,
    ofInputs: true,
  };
}

async function readParameters(
  clients: Clients,
  { newest, named }: ReleaseParameters,
  { target }: ActionContext,
): Promise<{ newest?: string; isThere: boolean } | { cause: string }> {
  try {
    const ssm = await clients.ssm(target.region);
    const { Parameters = [] } = await ssm.getParameters({ Names: named === undefined ? [newest] : [newest, named] });
    const valueOf = (name?: string): string | undefined => Parameters.find(({ Name }) => Name === name)?.Value;
    return { newest: valueOf(newest), isThere: valueOf(named) !== undefined };
  } catch (error) {
    const told = awsError(error, 'GetParameters', target);
    // It is over in a moment, and the plan would be another one then.
    if (told.code === 'aws-busy') throw told;
    return { cause: told.message };
  }
}
