/** A Kubernetes minor version, e.g. 1.33. */
export interface MinorVersion {
  major: number;
  minor: number;
}

/** Reads the minor version of `1.33`, `v1.33.4-eks-99bf8d4` or `1.33.4-20260801`; undefined where there is none. */
export function minorVersionOf(text: string): MinorVersion | undefined {
  const match = /^v?(\d+)\.(\d+)/.exec(text);
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : undefined;
}

/** The minor version as Kubernetes writes it, e.g. `1.33`. */
export function minorVersionText({ major, minor }: MinorVersion): string {
  return `${major}.${minor}`;
}

/** Compares versions such as `v1.18.3-eksbuild.2` by their numbers, one after another; what else they say is not looked at. */
export function compareNumbers(one: string, other: string): number {
  const [left, right] = [numbersOf(one), numbersOf(other)];
  for (let place = 0; place < Math.max(left.length, right.length); place += 1) {
    const difference = (left[place] ?? 0) - (right[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(version: string): number[] {
  return (version.match(/\d+/g) ?? []).map(Number);
}

/** Whether two texts name the same minor version; what cannot be read is the same as nothing. */
export function sameMinorVersion(one: string, other: string): boolean {
  const first = minorVersionOf(one);
  const second = minorVersionOf(other);
  return first !== undefined && first.major === second?.major && first.minor === second.minor;
}

/** How many minor versions a kubelet may be behind the control plane (Kubernetes version skew policy, since 1.28). */
export const kubeletMinorsBehindMax = 3;

/**
 * Why a kubelet version may not run under a control plane version; undefined where it may.
 * A kubelet is never newer than the API server and at most three minors older; what cannot be read is a reason, too.
 */
export function skewProblem(kubelet: string, controlPlane: string): string | undefined {
  const node = minorVersionOf(kubelet);
  const plane = minorVersionOf(controlPlane);
  if (!node || !plane) return `the versions "${kubelet}" and "${controlPlane}" cannot be compared`;
  if (node.major !== plane.major) return `kubelet ${kubelet} and control plane ${controlPlane} differ in their major version`;
  if (node.minor > plane.minor) return `kubelet ${kubelet} is newer than the control plane ${controlPlane}`;
  const behind = plane.minor - node.minor;
  if (behind > kubeletMinorsBehindMax) {
    return `kubelet ${kubelet} is ${behind} minor versions behind the control plane ${controlPlane}, ${kubeletMinorsBehindMax} are allowed`;
  }
  return undefined;
}

/** Releases that begin with the version of Kubernetes: `1.33.4-20260801` (Amazon Linux), `1.33-2026.08.12` (Windows). */
const releasesOfKubernetes = /^\d+\.\d+(\.\d+)?-20\d\d(\.?)(0[1-9]|1[0-2])\2[0-3]\d$/;

/**
 * The Kubernetes version that an AMI release of EKS says; undefined where it says another one, such as that of the operating system:
 * `1.36.0-0f1c5d6e` is one of Bottlerocket, whatever the version of Kubernetes.
 */
export function kubernetesOfRelease(release: string): string | undefined {
  return releasesOfKubernetes.test(release) ? release : undefined;
}
