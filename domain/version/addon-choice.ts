import type { Blocker } from '../plan/plan.ts';
import { addonSlot, addonVersionFor, type AddonMove, type AddonRelease, type AddonSlot } from './addons.ts';
import { minorsBetween } from './hop.ts';

const versionsShownMax = 20;

/** What a step asks for: a version of the add-on, or where in which upgrade it stands. */
export type AddonPlace = { addonVersion: string } | { kubernetesVersion: string; slot: AddonSlot };

/** An add-on of a cluster, with the versions that EKS has of it. */
export interface PresentAddon {
  name: string;
  /** The version that it has. */
  present: string;
  /** The version of the control plane when the step begins. */
  controlPlane: string;
  releases: AddonRelease[];
}

/** The version that it goes to; or it stays, with what is to be said of that; or it cannot be said. */
export type AddonChoice = { note: string; risks: string[] } | { blocker: Omit<Blocker, 'object'> } | { version: string };

/** Which version the add-on gets, or why it stays, or why it cannot be said. */
export function chooseAddonVersion({ name, present, controlPlane, releases }: PresentAddon, place: AddonPlace): AddonChoice {
  if ('addonVersion' in place) {
    const { addonVersion: version } = place;
    if (version === present || releases.some((each) => each.version === version && each.runsOn.includes(controlPlane))) {
      return { version };
    }
    const reason = `EKS has no version ${version} of it for Kubernetes ${controlPlane}.`;
    return { blocker: { reason, remedy: `Name one of those: ${versionsFor(releases, controlPlane)}.` } };
  }
  const { kubernetesVersion: to, slot } = place;
  const isBefore = slot === 'before-control-plane';
  const isThere = minorsBetween(controlPlane, to) === 0;
  if (isBefore && isThere) return { note: `The control plane is at ${to} already: ${name} has its turn after it.`, risks: [] };
  if (!isBefore && !isThere) {
    const reason = `The control plane is at ${controlPlane}, not at ${to}, after which this add-on has its turn.`;
    return { blocker: { reason, remedy: 'Have the control plane upgraded by a step before this one.' } };
  }
  const move: AddonMove = { addon: name, present, from: isBefore ? controlPlane : to, to, releases };
  const due = addonSlot(move);
  // Whatever is late has its turn after the control plane: only what follows the nodes waits for them.
  const isDue = isBefore ? due === 'before-control-plane' : (due === 'after-nodes') === (slot === 'after-nodes');
  if (!isDue) {
    const risks = isBefore && due === 'after-control-plane' ? gapRisks(move) : [];
    return { note: `The add-on ${name} has its turn ${due.replaceAll('-', ' ')}; here it stays at ${present}.`, risks };
  }
  const version = addonVersionFor(move, slot);
  if (version !== undefined) return { version };
  return { blocker: { reason: `EKS has no version of it for Kubernetes ${to}.`, remedy: `Wait for one, or stay at ${controlPlane}.` } };
}

/** What does not run under the version to go to, and has no release that runs under both. */
function gapRisks({ addon, present, to, releases }: AddonMove): string[] {
  if (releases.some(({ version, runsOn }) => version === present && runsOn.includes(to))) return [];
  return [`EKS names no version of ${addon} that runs before and after the upgrade: ${present} does not run under ${to}.`];
}

function versionsFor(releases: readonly AddonRelease[], kubernetes: string): string {
  const versions = releases.filter(({ runsOn }) => runsOn.includes(kubernetes)).map(({ version }) => version);
  return versions.length === 0 ? 'none' : versions.slice(0, versionsShownMax).join(', ');
}
