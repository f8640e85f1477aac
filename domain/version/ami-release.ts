import { minorVersionOf, minorVersionText } from './version.ts';

/** Asks for the newest release, which the plan names and people sign. */
export const latestRelease = 'latest';

/** The names of public parameters of Systems Manager that tell of the AMI releases of EKS. */
export interface ReleaseParameters {
  /** Its value is the newest release. */
  newest: string;
  /** It is there where the release is; undefined where no release is asked about or the parameters do not name single ones. */
  named?: string;
}

/**
 * Where AWS says which releases there are for the image type of a node group and a Kubernetes version; undefined for types that it says
 * nothing about. The names are those that the EKS User Guide gives for each kind of AMI, and that Karpenter resolves its aliases by.
 */
export function releaseParameters(amiType: string, version: string, releaseVersion?: string): ReleaseParameters | undefined {
  const minor = minorVersionOf(version);
  if (!minor) return undefined;
  const kubernetes = minorVersionText(minor);
  const asked = releaseVersion === latestRelease ? undefined : releaseVersion;
  const bottlerocket = /^BOTTLEROCKET_(x86_64|ARM_64)(?:_(NVIDIA|FIPS))?$/.exec(amiType);
  if (bottlerocket) return ofBottlerocket(kubernetes, architectureOf(bottlerocket[1]), bottlerocket[2]?.toLowerCase(), asked);
  const linux2023 = /^AL2023_(x86_64|ARM_64)_(STANDARD|NEURON|NVIDIA)$/.exec(amiType);
  if (linux2023) {
    const [architecture, variant] = [architectureOf(linux2023[1]), (linux2023[2] ?? '').toLowerCase()];
    const image = `amazon-eks-node-al2023-${architecture}-${variant}`;
    return ofAmazonLinux(kubernetes, `amazon-linux-2023/${architecture}/${variant}`, image, asked);
  }
  const linux2 = amazonLinux2.get(amiType);
  return linux2 && ofAmazonLinux(kubernetes, linux2.family, linux2.image, asked);
}

const amazonLinux2: ReadonlyMap<string, { family: string; image: string }> = new Map([
  ['AL2_x86_64', { family: 'amazon-linux-2', image: 'amazon-eks-node' }],
  ['AL2_x86_64_GPU', { family: 'amazon-linux-2-gpu', image: 'amazon-eks-gpu-node' }],
  ['AL2_ARM_64', { family: 'amazon-linux-2-arm64', image: 'amazon-eks-arm64-node' }],
]);

function architectureOf(name = ''): string {
  return name === 'ARM_64' ? 'arm64' : name;
}

/** `1.33.4-20260801` is the image `…-1.33-v20260801`. */
function ofAmazonLinux(kubernetes: string, family: string, image: string, asked?: string): ReleaseParameters {
  const directory = `/aws/service/eks/optimized-ami/${kubernetes}/${family}`;
  const date = /-(\d{8})$/.exec(asked ?? '')?.[1];
  return {
    newest: `${directory}/recommended/release_version`,
    ...(date !== undefined && { named: `${directory}/${image}-${kubernetes}-v${date}/image_id` }),
  };
}

/** `1.36.0-0f1c5d6e` is the version 1.36.0 of Bottlerocket. */
function ofBottlerocket(kubernetes: string, architecture: string, flavour?: string, asked?: string): ReleaseParameters {
  const variant = flavour === undefined ? kubernetes : `${kubernetes}-${flavour}`;
  const directory = `/aws/service/bottlerocket/aws-k8s-${variant}/${architecture}`;
  const number = /^(\d+\.\d+\.\d+)-/.exec(asked ?? '')?.[1];
  return {
    newest: `${directory}/latest/image_version`,
    ...(number !== undefined && { named: `${directory}/${number}/image_id` }),
  };
}
