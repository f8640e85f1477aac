import { expect, test } from '@jest/globals';
import type { Update } from '@aws-sdk/client-eks';
import { describeUpdate, isSameChange, mayBePlanned } from '../../../activities/eks/update/planned-change.ts';

const release = { type: 'ReleaseVersion', value: '1.33.4-20260801' } as const;
const version = { type: 'Version', value: '1.33' } as const;
const both = { version: '1.33', releaseVersion: '1.33.4-20260801' };
const releaseOnly = { version: null, releaseVersion: '1.33.4-20260801' };
const versionOnly = { version: '1.33', releaseVersion: null };

const cases: { title: string; to: typeof both | typeof releaseOnly | typeof versionOnly; update: Update; same: boolean }[] = [
  { title: 'the release that is asked for', to: releaseOnly, update: { type: 'VersionUpdate', params: [version, release] }, same: true },
  {
    title: 'the version that is asked for, of any release',
    to: versionOnly,
    update: { type: 'VersionUpdate', params: [version] },
    same: true,
  },
  { title: 'both, where the version goes unsaid', to: both, update: { type: 'VersionUpdate', params: [release] }, same: true },
  {
    title: 'another release',
    to: both,
    update: { type: 'VersionUpdate', params: [version, { ...release, value: '1.33.4-20260601' }] },
    same: false,
  },
  {
    title: 'another version',
    to: both,
    update: { type: 'VersionUpdate', params: [{ ...version, value: '1.32' }, release] },
    same: false,
  },
  { title: 'nothing that is told', to: versionOnly, update: { type: 'VersionUpdate' }, same: false },
  {
    title: 'a launch template besides',
    to: releaseOnly,
    update: { type: 'VersionUpdate', params: [release, { type: 'LaunchTemplateVersion', value: '7' }] },
    same: false,
  },
  { title: 'an update of another type', to: releaseOnly, update: { type: 'ConfigUpdate', params: [release] }, same: false },
];

test.each(cases)('$title: the planned change, $same.', ({ to, update, same }) => {
  expect(isSameChange(update, { to })).toBe(same);
});

test('What EKS leaves unsaid or says besides may be part of the planned change; what it says otherwise is not.', () => {
  const may = cases.filter(({ update, to }) => mayBePlanned(update, { to })).map(({ title }) => title);
  const alike = ['the release that is asked for', 'the version that is asked for, of any release', 'both, where the version goes unsaid'];
  expect(may).toEqual([...alike, 'nothing that is told', 'a launch template besides']);
});

test('An update is told with its id, its type and a few of its changes.', () => {
  const params: Update['params'] = Array.from({ length: 6 }, (_, index) => ({ type: 'LabelsToAdd', value: `team-${index}` }));
  const labels = [0, 1, 2, 3, 4].map((index) => `LabelsToAdd team-${index}`).join(', ');
  expect(describeUpdate({ id: 'u-1', type: 'ConfigUpdate', params })).toBe(`update u-1 (ConfigUpdate: ${labels}, …)`);
  expect(describeUpdate({ id: 'u-1', type: 'VersionUpdate' })).toBe('update u-1 (VersionUpdate)');
});
