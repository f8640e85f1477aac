import { createHash } from 'node:crypto';

/** AMI releases that can be asked for, oldest first, by Kubernetes minor version; the last one is what EKS takes by itself. */
export const amiReleases: Readonly<Record<string, readonly string[]>> = {
  '1.30': ['1.30.13-20260415', '1.30.14-20260601', '1.30.14-20260801'],
  '1.31': ['1.31.12-20260415', '1.31.13-20260601', '1.31.13-20260801'],
  '1.32': ['1.32.8-20260415', '1.32.9-20260601', '1.32.9-20260801'],
  '1.33': ['1.33.3-20260415', '1.33.4-20260601', '1.33.4-20260801'],
  '1.34': ['1.34.1-20260415', '1.34.2-20260601', '1.34.2-20260801'],
  '1.35': ['1.35.0-20260601', '1.35.1-20260801'],
};

/** `1.33` gives 33; undefined if that is no version of Kubernetes 1. */
export function minorOf(version: string): number | undefined {
  const minor = /^1\.(\d{1,3})$/.exec(version)?.[1];
  return minor === undefined ? undefined : Number(minor);
}

/** The newest AMI release for a Kubernetes minor version. */
export function latestRelease(version: string): string | undefined {
  return amiReleases[version]?.at(-1);
}

/** The id of the image that a release is in one region: always the same one. */
export function amiIdOf(releaseVersion: string, region: string): string {
  return `ami-0${createHash('sha256').update(`${region}/${releaseVersion}`).digest('hex').slice(0, 16)}`;
}

/** The newest version whose standard support is over. */
const lastOfExtendedSupport = 32;
const dayMs = 86_400_000;
/** A new version comes about every four months, and has a year of extended support. */
const daysBetweenVersions = 120;
const extendedDays = 365;

/** What EKS says of the support of a version, in a world that was made at a time. */
export function supportOf(version: string, madeAt: Date): object {
  const days = ((minorOf(version) ?? 0) - lastOfExtendedSupport) * daysBetweenVersions;
  const standardEnds = madeAt.getTime() / 1000 + (days * dayMs) / 1000;
  const isStandard = days > 0;
  return {
    clusterVersion: version,
    clusterType: 'eks',
    endOfStandardSupportDate: standardEnds,
    endOfExtendedSupportDate: standardEnds + (extendedDays * dayMs) / 1000,
    status: isStandard ? 'standard-support' : 'extended-support',
    versionStatus: isStandard ? 'STANDARD_SUPPORT' : 'EXTENDED_SUPPORT',
    kubernetesPatchVersion: '0',
  };
}
