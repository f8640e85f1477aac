import { compareText } from '../text.ts';
import { minorsBetween } from './hop.ts';
import { compareNumbers } from './version.ts';

/** When an add-on is updated, in an upgrade of its cluster: before the control plane, after it, or after the nodes. */
export const addonSlots = ['before-control-plane', 'after-control-plane', 'after-nodes'] as const;
export type AddonSlot = (typeof addonSlots)[number];

/** A version of an add-on, with the Kubernetes versions that EKS names for it (DescribeAddonVersions). */
export interface AddonRelease {
  version: string;
  /** Minor versions of the control plane under which it runs. */
  runsOn: readonly string[];
  /** Those of them for which EKS takes it by itself. */
  defaultFor: readonly string[];
}

/** What is known of an add-on when its cluster goes from one version to another, up or down. */
export interface AddonMove {
  addon: string;
  /** The version that it has. */
  present: string;
  /** Versions of the control plane, before and after. */
  from: string;
  to: string;
  releases: readonly AddonRelease[];
}

/** What follows the nodes: a kube-proxy of the old version runs under the new control plane, and one minor for all nodes is simplest. */
const followsNodes = new Set(['kube-proxy']);

/**
 * When an add-on goes: what does not run under the version to go to goes first, if there is a release for both versions; where there is
 * none, it follows the control plane at once. Downward nothing has to follow, as what runs under the older version stays.
 */
export function addonSlot({ addon, present, from, to, releases }: AddonMove): AddonSlot {
  const isUpward = (minorsBetween(from, to) ?? 0) >= 0;
  if (isUpward && followsNodes.has(addon)) return 'after-nodes';
  const release = releases.find(({ version }) => version === present);
  if (release?.runsOn.includes(to) === true) return 'after-control-plane';
  return releases.some(({ runsOn }) => runsOn.includes(from) && runsOn.includes(to)) ? 'before-control-plane' : 'after-control-plane';
}

/**
 * The version that an add-on gets in its slot; undefined where EKS has none that fits. What has to run under both versions is the default
 * of the one to go to, else of the one before, else the newest. After the control plane it is the default; a newer one that runs stays,
 * and downward whatever runs stays.
 */
export function addonVersionFor(move: AddonMove, slot: AddonSlot): string | undefined {
  const { present, from, to, releases } = move;
  const isDownward = (minorsBetween(from, to) ?? 0) < 0;
  const fitting = releases.filter(({ runsOn }) => runsOn.includes(to) && (slot !== 'before-control-plane' || runsOn.includes(from)));
  const stays = fitting.some(({ version }) => version === present);
  const defaultFor = (kubernetes: string): string | undefined =>
    fitting.find((release) => release.defaultFor.includes(kubernetes))?.version;
  const [newest] = fitting.map(({ version }) => version).sort((one, other) => compareAddonVersions(other, one));
  const wanted = defaultFor(to) ?? (slot === 'before-control-plane' ? defaultFor(from) : undefined) ?? newest;
  if (stays && (isDownward || wanted === undefined || compareAddonVersions(present, wanted) >= 0)) return present;
  return wanted;
}

/** Compares versions such as `v1.11.4-eksbuild.2`: negative where the first one is older, 0 where they are the same. */
export function compareAddonVersions(one: string, other: string): number {
  return compareNumbers(one, other) || compareText(one, other);
}
