import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  DescribeNodegroupCommand,
  DescribeUpdateCommand,
  UpdateClusterVersionCommand,
  UpdateNodegroupConfigCommand,
  UpdateNodegroupVersionCommand,
  type Update,
} from '@aws-sdk/client-eks';
import { DoubleEffects, type AcceptedChange } from '../../sandbox/double-effects.ts';
import { eventually, startEks, type EksFixture } from './eks-fixture.ts';

const blue = { clusterName: 'demo', nodegroupName: 'blue' };
const oldRelease = '1.33.3-20260415';
const newRelease = '1.33.4-20260801';

describe('over the wire', () => {
  let fixture: EksFixture;

  beforeEach(async () => {
    fixture = await startEks();
  });

  afterEach(() => fixture.stop());

  const violations = () => fixture.observer.summary().violations.map(({ kind, object, sentence }) => ({ kind, object, sentence }));

  async function ended(update: Update | undefined): Promise<void> {
    const question = new DescribeUpdateCommand({ name: 'demo', nodegroupName: 'blue', updateId: update?.id });
    await eventually('the update to end', async () => {
      const answer = await fixture.client.send(question);
      return answer.update?.status === 'InProgress' ? undefined : answer;
    });
  }

  test('an update to a release that is there already is noted; the first one is not', async () => {
    const input = { ...blue, releaseVersion: newRelease };
    await ended((await fixture.client.send(new UpdateNodegroupVersionCommand(input))).update);
    expect(violations()).toEqual([]);
    await fixture.client.send(new UpdateNodegroupVersionCommand(input));
    expect(violations()).toEqual([
      {
        kind: 'updated-needlessly',
        object: 'demo: node group blue',
        sentence: `An update of demo/blue to ${newRelease} was begun, which it has already.`,
      },
    ]);
  });

  test('an answer that is repeated for its token is no second update', async () => {
    const input = { ...blue, releaseVersion: newRelease, clientRequestToken: 'run-1/update' };
    const first = await fixture.client.send(new UpdateNodegroupVersionCommand(input));
    const again = await fixture.client.send(new UpdateNodegroupVersionCommand(input));
    await ended(first.update);
    await fixture.client.send(new UpdateNodegroupVersionCommand(input));
    expect(again.update?.id).toBe(first.update?.id);
    expect(violations()).toEqual([]);
  });

  test('a refused second update is none either, and one that failed may be asked for again', async () => {
    fixture.eks.setNodegroupIssue('demo', 'blue', { code: 'AsgInstanceLaunchFailures', message: 'No capacity.', resourceIds: [] });
    const input = { ...blue, releaseVersion: newRelease };
    const { update } = await fixture.client.send(new UpdateNodegroupVersionCommand(input));
    await expect(fixture.client.send(new UpdateNodegroupVersionCommand(input))).rejects.toMatchObject({ name: 'ResourceInUseException' });
    await ended(update);
    fixture.eks.setNodegroupIssue('demo', 'blue', undefined);
    await fixture.client.send(new UpdateNodegroupVersionCommand(input));
    expect(violations()).toEqual([]);
  });

  test('a configuration that changes nothing is noted, one that changes a label is not', async () => {
    const change = new UpdateNodegroupConfigCommand({ ...blue, labels: { addOrUpdateLabels: { color: 'blue' } } });
    await ended((await fixture.client.send(change)).update);
    expect(violations()).toEqual([]);
    const again = new UpdateNodegroupConfigCommand({ ...blue, labels: { addOrUpdateLabels: { color: 'blue' } } });
    await fixture.client.send(again);
    expect(violations()).toMatchObject([{ kind: 'updated-needlessly', object: 'demo: node group blue' }]);
  });

  test('the control plane goes up one version at a time without a word', async () => {
    await fixture.client.send(new UpdateClusterVersionCommand({ name: 'demo', version: '1.34' }));
    expect((await fixture.client.send(new DescribeNodegroupCommand(blue))).nodegroup?.version).toBe('1.33');
    expect(violations()).toEqual([]);
  });
});

describe('what a right EKS never lets happen', () => {
  const update = {
    update: {
      params: [
        { type: 'Version', value: '1.33' },
        { type: 'ReleaseVersion', value: newRelease },
      ],
    },
  };
  const before = { nodegroupArn: 'arn:1', version: '1.33', releaseVersion: oldRelease, status: 'ACTIVE' };
  const change: AcceptedChange = {
    ...blue,
    operation: 'UpdateNodegroupVersion',
    token: 'run-1/update',
    before,
    isMixed: false,
    after: before,
    answer: update,
  };

  test('one token that is carried out twice', () => {
    const effects = new DoubleEffects();
    expect(effects.note(change)).toBeUndefined();
    expect(effects.note({ ...change, token: 'run-2/update' })).toBeUndefined();
    expect(effects.note(change)).toEqual({
      kind: 'done-twice',
      sentence: 'UpdateNodegroupVersion of demo/blue was carried out a second time under the token run-1/update.',
    });
  });

  test('one node group that is deleted twice, unless the first time failed', () => {
    const effects = new DoubleEffects();
    const deletion = { ...change, operation: 'DeleteNodegroup', token: undefined, answer: {} };
    expect(effects.note(deletion)).toBeUndefined();
    expect(effects.note({ ...deletion, before: { ...before, status: 'DELETE_FAILED' } })).toBeUndefined();
    expect(effects.note({ ...deletion, before: { ...before, nodegroupArn: 'arn:2' } })).toBeUndefined();
    expect(effects.note(deletion)).toMatchObject({ kind: 'done-twice' });
  });

  test('a node group that is updated to the release it has, unless some of its nodes run another one', () => {
    const there = { ...change, before: { ...before, releaseVersion: newRelease } };
    expect(new DoubleEffects().note(there)).toMatchObject({ kind: 'updated-needlessly' });
    expect(new DoubleEffects().note({ ...there, isMixed: true })).toBeUndefined();
  });

  test('a control plane that is updated to the version it has', () => {
    const cluster = { name: 'demo', version: '1.34' };
    const answer = {
      update: {
        params: [
          { type: 'Version', value: '1.34' },
          { type: 'PlatformVersion', value: 'eks.3' },
        ],
      },
    };
    const again = { ...change, operation: 'UpdateClusterVersion', nodegroupName: undefined, before: cluster, after: cluster, answer };
    expect(new DoubleEffects().note(again)).toMatchObject({ kind: 'updated-needlessly' });
    expect(new DoubleEffects().note({ ...again, before: { ...cluster, version: '1.33' } })).toBeUndefined();
  });
});
