import { expect, test } from '@jest/globals';
import { minorsBetween, rollbackProblem, upgradeProblem } from '../../../domain/version/hop.ts';
import { kubernetesOfRelease, minorVersionOf, skewProblem } from '../../../domain/version/version.ts';

test.each([
  { text: '1.33', minor: { major: 1, minor: 33 } },
  { text: 'v1.33.4-eks-99bf8d4', minor: { major: 1, minor: 33 } },
  { text: '1.33.4-20260801', minor: { major: 1, minor: 33 } },
  { text: '1.9', minor: { major: 1, minor: 9 } },
  { text: '', minor: undefined },
  { text: 'latest', minor: undefined },
  { text: '1', minor: undefined },
  { text: 'eks-1.33', minor: undefined },
])('The minor version of "$text" is read.', ({ text, minor }) => {
  expect(minorVersionOf(text)).toEqual(minor);
});

test.each([
  { kubelet: '1.33', plane: '1.33' },
  { kubelet: 'v1.33.9-eks-99bf8d4', plane: '1.33' },
  { kubelet: '1.32.8-20260415', plane: '1.33' },
  { kubelet: '1.30', plane: '1.33' },
])('Kubelet $kubelet may run under control plane $plane.', ({ kubelet, plane }) => {
  expect(skewProblem(kubelet, plane)).toBeUndefined();
});

test.each([
  { kubelet: '1.34', plane: '1.33', problem: 'kubelet 1.34 is newer than the control plane 1.33' },
  { kubelet: '1.29', plane: '1.33', problem: 'kubelet 1.29 is 4 minor versions behind the control plane 1.33, 3 are allowed' },
  { kubelet: '1.9', plane: '1.33', problem: 'kubelet 1.9 is 24 minor versions behind the control plane 1.33, 3 are allowed' },
  { kubelet: '2.0', plane: '1.33', problem: 'kubelet 2.0 and control plane 1.33 differ in their major version' },
  { kubelet: '', plane: '1.33', problem: 'the versions "" and "1.33" cannot be compared' },
  { kubelet: '1.33', plane: 'unknown', problem: 'the versions "1.33" and "unknown" cannot be compared' },
])('Kubelet "$kubelet" may not run under control plane "$plane", and the reason is said.', ({ kubelet, plane, problem }) => {
  expect(skewProblem(kubelet, plane)).toBe(problem);
});

test.each([
  ['1.33.4-20260801', true],
  ['1.32-2025.06.13', true],
  ['1.36.0-0f1c5d6e', false],
  ['1.36.0-12345678', false],
  ['', false],
])('The release %s begins with a version of Kubernetes: %s (field case more/13).', (release, isSo) => {
  expect(kubernetesOfRelease(release)).toBe(isSo ? release : undefined);
});

test.each([
  ['1.33', '1.34', undefined],
  ['v1.33.1-eks-1', '1.33', undefined],
  ['1.9', '1.10', undefined],
  ['1.33', '1.35', 'EKS upgrades by one minor version at a time, and 1.35 is 2 above 1.33'],
  ['1.33', '1.32', '1.32 is older than 1.33, which it has now'],
  ['1.33', '2.0', 'the versions "1.33" and "2.0" cannot be compared'],
  ['', '1.34', 'the versions "" and "1.34" cannot be compared'],
])('A control plane at "%s" goes up to %s, unless: %s.', (from, to, problem) => {
  expect(upgradeProblem(from, to)).toBe(problem);
});

test.each([
  ['1.34', '1.33', undefined],
  ['1.34', '1.34', undefined],
  ['1.34', '1.32', 'EKS takes a control plane back by one minor version only, not from 1.34 to 1.32'],
  ['1.34', '1.35', 'EKS takes a control plane back by one minor version only, not from 1.34 to 1.35'],
  ['1.34', '', 'the versions "1.34" and "" cannot be compared'],
])('A control plane at %s goes back to "%s", unless: %s.', (from, to, problem) => {
  expect(rollbackProblem(from, to)).toBe(problem);
});

test('Minor versions are counted by their numbers, within one major version.', () => {
  expect([minorsBetween('1.9', '1.33'), minorsBetween('1.33', '1.32'), minorsBetween('1.33', '2.33')]).toEqual([24, -1, undefined]);
});
