import { describe, expect, test } from '@jest/globals';
import {
  activeInstances,
  inTurns,
  piecesOf,
  rotationFindings,
  shapeBlockers,
  shortageOf,
  surgeOf,
  unreadyBlockers,
  type ScalingActivity,
  type ScalingGroup,
} from '../../../domain/autoscaling/group.ts';
import { holdOf, holdTag, holdText, whatIsGivenBack, type Hold } from '../../../domain/autoscaling/hold.ts';

const group: ScalingGroup = {
  name: 'workers',
  arn: 'arn:workers',
  minSize: 1,
  maxSize: 6,
  desiredSize: 2,
  template: { id: 'lt-1', version: '1' },
  suspended: [],
  tags: {},
  instances: ['a', 'b'].map((id) => ({ id: `i-${id}`, zone: id, state: 'InService', version: '1' })),
};
const nothing = { refreshes: [], hooks: [], version: undefined };
const reasonsOf = (found: { reason: string }[]): string => found.map(({ reason }) => reason).join(' ');

describe('what works against a rotation is refused by name', () => {
  test.each([
    ['a managed node group', { tags: { 'eks:nodegroup-name': 'blue' } }, nothing, 'belongs to the managed node group blue'],
    ['a launch configuration', { template: undefined }, nothing, 'no launch template'],
    ['a warm pool', { warmPoolSize: 2 }, nothing, 'has a warm pool (2 instances)'],
    ['an instance refresh under way', {}, { ...nothing, refreshes: ['Successful', 'Baking'] }, 'refresh is under way (Baking)'],
    ['launch templates of single types', { mixed: { hasOwnTemplates: true } }, nothing, 'launch template of their own'],
    [
      'another version of mixed instances',
      { mixed: { hasOwnTemplates: false } },
      { ...nothing, version: '2' },
      'policy of mixed instances',
    ],
  ])('%s', (_title, difference, surroundings, reason) => {
    expect(reasonsOf(rotationFindings({ ...group, ...difference }, surroundings).blockers)).toContain(reason);
  });

  test('and what only has to be known is told: hooks, kinds of capacity, the Cluster Autoscaler', () => {
    const hooks = [{ name: 'boot', isOfLaunch: true, timeoutSeconds: 300, defaultResult: 'ABANDON' }];
    const mixed = { onDemandPercentage: 20, hasOwnTemplates: false };
    const known = { ...group, mixed, tags: { 'k8s.io/cluster-autoscaler/enabled': 'true' } };
    const { blockers, notes } = rotationFindings(known, { ...nothing, refreshes: ['Cancelled'], hooks });
    expect(blockers).toEqual([]);
    expect(notes).toEqual([
      'The lifecycle hook boot holds each instance that starts, for up to 300 s where nobody answers it, and AWS ends the instance then.',
      expect.stringContaining('20 % of them On-Demand'),
      expect.stringContaining('The Cluster Autoscaler scales this group'),
    ]);
    expect(shapeBlockers(group)).toEqual([]);
  });

  test('a group that lacks instances, rests some, or has some that are no nodes', () => {
    const odd = { ...group, desiredSize: 4, instances: [...group.instances, { id: 'i-c', zone: 'a', state: 'Standby' }] };
    expect(unreadyBlockers(odd, (id) => (id === 'i-b' ? undefined : id)).map(({ reason }) => reason)).toEqual([
      'It is to have 4 instances and has 3.',
      'Not all of its instances are InService: i-c (Standby).',
      'These of its instances are no nodes of the cluster: i-b.',
    ]);
    expect(unreadyBlockers(group, (id) => id)).toEqual([]);
  });
});

test('instances that end, and those that only wait in a warm pool, do not count for the size', () => {
  const states = ['InService', 'Pending:Wait', 'Standby', 'Terminating:Wait', 'Terminated', 'Detaching', 'Warmed:Stopped'];
  const many = { ...group, instances: states.map((state) => ({ id: state, zone: 'a', state })) };
  expect(activeInstances(many).map(({ id }) => id)).toEqual(['InService', 'Pending:Wait', 'Standby']);
});

test('nodes go zone by zone in turn, the fullest first, and the oldest of each', () => {
  const nodes = ['a1', 'b1', 'a2', 'c1', 'a3', 'b2'].map((node) => ({ node, instance: `i-${node}`, zone: node.charAt(0) }));
  expect(inTurns(nodes).map(({ node }) => node)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
});

test.each([
  ['50%', 5, 2],
  ['10%', 5, 1],
  ['100%', 5, 5],
  [3, 5, 3],
  [9, 5, 5],
  [1, 0, 1],
])('a surge of %s of %d nodes is %d', (surge, nodes, count) => {
  expect(surgeOf(surge, nodes)).toBe(count);
  expect(piecesOf(Array.from({ length: nodes }), count).flat()).toHaveLength(nodes);
});

describe('a group that gets no capacity', () => {
  const activity = (id: number, status: string, description = 'Launching a new EC2 instance'): ScalingActivity => {
    return { id: String(id), status, description, message: `No capacity (${id})` };
  };
  const failed = [5, 4, 3].map((id) => activity(id, 'Failed'));

  test('is one whose last starts have failed three times in a row; ends do not count', () => {
    expect(shortageOf([failed[0]!, activity(9, 'Successful', 'Terminating EC2 instance: i-1'), ...failed.slice(1)], undefined)).toEqual({
      id: '5',
      message: 'No capacity (5)',
    });
    expect(shortageOf(failed.slice(1), undefined)).toBeUndefined();
    expect(shortageOf([failed[0]!, activity(9, 'Successful'), ...failed], undefined)).toBeUndefined();
  });

  test('is told anew once as many have failed since somebody was asked', () => {
    const later = [8, 7, 6].map((id) => activity(id, 'Failed'));
    expect(shortageOf([...later.slice(1), ...failed], '5')).toBeUndefined();
    expect(shortageOf([...later, ...failed], '5')).toMatchObject({ id: '8' });
  });
});

describe('a hold', () => {
  const hold: Hold = { run: 'r-1', cluster: 'demo', maxSizeBefore: 4, maxSize: 6, processes: ['AZRebalance', 'ScheduledActions'] };

  test('is read from its tag as it was written there, in characters that AWS takes', () => {
    const text = holdText(hold);
    expect(text).toMatch(/^[\w .:/=+@-]+$/);
    expect(holdOf({ tags: { [holdTag]: text } })).toEqual(hold);
    for (const other of ['', 'r-1', 'r-1 demo', 'r-1 demo x:y AZRebalance']) expect(holdOf({ tags: { [holdTag]: other } })).toBeUndefined();
    // Nobody gets another process resumed by writing it there.
    expect(holdOf({ tags: { [holdTag]: `${text} Launch` } })).toEqual(hold);
  });

  test.each([
    ['what it has suspended and raised', { suspended: ['AZRebalance', 'ScheduledActions', 'Launch'] }, hold.processes, 4],
    ['not what others have resumed', { suspended: ['AZRebalance'] }, ['AZRebalance'], 4],
    ['not a largest size that others have set', { maxSize: 9 }, [], undefined],
    ['not one that is smaller than what is desired: AWS would end instances', { desiredSize: 5 }, [], undefined],
  ])('gives back %s', (_title, difference, resume, maxSize) => {
    expect(whatIsGivenBack({ ...group, ...difference }, hold)).toEqual({ resume, ...(maxSize !== undefined && { maxSize }) });
  });
});
