import { describe, expect, test } from '@jest/globals';
import { addonSlot, addonVersionFor, compareAddonVersions, type AddonMove, type AddonRelease } from '../../../domain/version/addons.ts';

const old: AddonRelease = { version: 'v1.9.0-eksbuild.1', runsOn: ['1.32', '1.33'], defaultFor: ['1.32'] };
const middle: AddonRelease = { version: 'v1.10.0-eksbuild.2', runsOn: ['1.33', '1.34'], defaultFor: ['1.33'] };
const recent: AddonRelease = { version: 'v1.10.0-eksbuild.10', runsOn: ['1.34', '1.35'], defaultFor: ['1.34', '1.35'] };
const newest: AddonRelease = { version: 'v1.11.0-eksbuild.1', runsOn: ['1.34', '1.35'], defaultFor: [] };
const all = [newest, old, recent, middle];

const cases: { title: string; move: Partial<AddonMove>; slot: string; version: string | undefined }[] = [
  {
    title: 'what does not run under the next version goes first, to one that runs under both',
    move: { present: old.version },
    slot: 'before-control-plane',
    version: middle.version,
  },
  {
    title: 'what runs under both follows, to the default',
    move: { present: middle.version },
    slot: 'after-control-plane',
    version: recent.version,
  },
  {
    title: 'what is newer than the default stays',
    move: { present: newest.version, from: '1.34', to: '1.35' },
    slot: 'after-control-plane',
    version: newest.version,
  },
  {
    title: 'what has no release for both follows at once',
    move: { present: old.version, releases: [old, recent] },
    slot: 'after-control-plane',
    version: recent.version,
  },
  {
    title: 'what has no release for the next version has none',
    move: { present: old.version, releases: [old] },
    slot: 'after-control-plane',
    version: undefined,
  },
  {
    title: 'what EKS does not list (any more) goes first',
    move: { present: 'v1.8.0-eksbuild.1' },
    slot: 'before-control-plane',
    version: middle.version,
  },
  {
    title: 'kube-proxy follows the nodes',
    move: { addon: 'kube-proxy', present: middle.version },
    slot: 'after-nodes',
    version: recent.version,
  },
  {
    title: 'downward, what does not run under the older version goes first, kube-proxy too',
    move: { addon: 'kube-proxy', present: newest.version, from: '1.34', to: '1.33' },
    slot: 'before-control-plane',
    version: middle.version,
  },
  {
    title: 'downward, what runs under the older version stays',
    move: { present: middle.version, from: '1.33', to: '1.32', releases: [{ ...middle, runsOn: ['1.32', '1.33'] }, old] },
    slot: 'after-control-plane',
    version: middle.version,
  },
];

describe('an add-on of a cluster that changes its version', () => {
  test.each(cases)('$title', ({ move: differences, slot, version }) => {
    const move: AddonMove = { addon: 'vpc-cni', present: middle.version, from: '1.33', to: '1.34', releases: all, ...differences };
    const found = addonSlot(move);
    expect([found, addonVersionFor(move, found)]).toEqual([slot, version]);
  });

  test('has versions that are compared by their numbers', () => {
    const sorted = [old, middle, recent, newest].map(({ version }) => version);
    expect([...sorted].reverse().sort(compareAddonVersions)).toEqual(sorted);
    expect(compareAddonVersions(old.version, old.version)).toBe(0);
  });
});
