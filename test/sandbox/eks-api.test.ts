import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  CreateNodegroupCommand,
  DescribeClusterCommand,
  DescribeNodegroupCommand,
  DescribeUpdateCommand,
  InvalidParameterException,
  ListFargateProfilesCommand,
  ListClustersCommand,
  ListNodegroupsCommand,
  ListTagsForResourceCommand,
  ListUpdatesCommand,
  paginateListClusters,
  paginateListUpdates,
  ResourceLimitExceededException,
  ResourceNotFoundException,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateNodegroupConfigCommand,
  type CreateNodegroupCommandInput,
} from '@aws-sdk/client-eks';
import { clusterSeed, eventually, FakeCluster, startEks, type EksFixture } from './eks-fixture.ts';

let fixture: EksFixture;

beforeEach(async () => {
  fixture = await startEks({ seeds: [clusterSeed(), clusterSeed('staging'), clusterSeed('test')] });
});

afterEach(() => fixture.stop());

const blue = { clusterName: 'demo', nodegroupName: 'blue' };

async function greenInput(): Promise<CreateNodegroupCommandInput> {
  const { nodegroup } = await fixture.client.send(new DescribeNodegroupCommand(blue));
  return { clusterName: 'demo', nodegroupName: 'green', subnets: nodegroup?.subnets, nodeRole: nodegroup?.nodeRole };
}

describe('what is there', () => {
  test('a cluster is described with all that a client needs to go on', async () => {
    const { cluster } = await fixture.client.send(new DescribeClusterCommand({ name: 'demo' }));
    expect(cluster).toMatchObject({
      name: 'demo',
      arn: 'arn:aws:eks:eu-central-1:111122223333:cluster/demo',
      status: 'ACTIVE',
      version: '1.33',
      endpoint: fixture.demo.url,
      platformVersion: expect.stringMatching(/^eks\.\d+$/),
      certificateAuthority: { data: expect.any(String) },
      health: { issues: [] },
      upgradePolicy: { supportType: 'EXTENDED' },
    });
    expect(cluster?.createdAt).toBeInstanceOf(Date);
    expect(cluster?.resourcesVpcConfig?.subnetIds).toHaveLength(3);
  });

  test('a node group is described with its sizes, versions and update settings', async () => {
    const { nodegroup } = await fixture.client.send(new DescribeNodegroupCommand(blue));
    expect(nodegroup).toMatchObject({
      ...blue,
      nodegroupArn: expect.stringMatching(/^arn:aws:eks:eu-central-1:111122223333:nodegroup\/demo\/blue\/[0-9a-f-]{36}$/),
      status: 'ACTIVE',
      version: '1.33',
      releaseVersion: '1.33.3-20260415',
      scalingConfig: { minSize: 1, maxSize: 6, desiredSize: 3 },
      instanceTypes: ['m6i.xlarge'],
      amiType: 'AL2023_x86_64_STANDARD',
      capacityType: 'ON_DEMAND',
      updateConfig: { maxUnavailable: 1 },
      labels: { tier: 'general' },
      health: { issues: [] },
    });
    expect(nodegroup?.subnets).toHaveLength(3);
  });

  test('the nodes that were there at the start carry the label of their image', () => {
    const images = [...fixture.demo.nodes.values()].map((node) => node.spec.labels['eks.amazonaws.com/nodegroup-image']);
    expect(images).toEqual(Array(3).fill(expect.stringMatching(/^ami-0[0-9a-f]{16}$/)));
  });

  test('lists come in pages that can be followed', async () => {
    const pages: (string[] | undefined)[] = [];
    for await (const page of paginateListClusters({ client: fixture.client, pageSize: 2 }, {})) pages.push(page.clusters);
    expect(pages).toEqual([['demo', 'staging'], ['test']]);
    expect((await fixture.client.send(new ListNodegroupsCommand({ clusterName: 'demo' }))).nodegroups).toEqual(['blue']);
  });

  test('a cluster is only seen in its own region', async () => {
    const elsewhere = fixture.newClient({ region: 'us-east-1' });
    expect((await elsewhere.send(new ListClustersCommand({}))).clusters).toEqual([]);
    await expect(elsewhere.send(new DescribeClusterCommand({ name: 'demo' }))).rejects.toThrow(ResourceNotFoundException);
  });

  test('a cluster that joined the world later is shown, and one that left it is gone', async () => {
    const later = clusterSeed('later');
    fixture.clusters.set('later', new FakeCluster(later, fixture.clock));
    fixture.eks.addCluster(later);
    expect((await fixture.client.send(new ListNodegroupsCommand({ clusterName: 'later' }))).nodegroups).toEqual(['blue']);
    fixture.clusters.delete('later');
    fixture.clusters.delete('staging');
    expect((await fixture.client.send(new ListClustersCommand({}))).clusters).toEqual(['demo', 'test']);
  });
});

describe('refusals', () => {
  test('what does not exist is named in an error of the right class', async () => {
    await expect(fixture.client.send(new DescribeClusterCommand({ name: 'nope' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      message: 'No cluster found for name: nope.',
      clusterName: 'nope',
      $metadata: { httpStatusCode: 404, requestId: expect.any(String) },
    });
    await expect(fixture.client.send(new DescribeNodegroupCommand({ ...blue, nodegroupName: 'red' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      message: 'No node group found for name: red.',
      clusterName: 'demo',
      nodegroupName: 'red',
    });
    const unknown = new DescribeUpdateCommand({ name: 'demo', updateId: 'u-1' });
    await expect(fixture.client.send(unknown)).rejects.toThrow('No update found for ID: u-1');
  });

  test('a request without a signature is refused', async () => {
    const response = await fetch(`${fixture.url}/clusters`);
    expect(response.status).toBe(403);
    expect(response.headers.get('x-amzn-errortype')).toBe('MissingAuthenticationTokenException');
    expect(response.headers.get('x-amzn-requestid')).toMatch(/^[0-9a-f-]{36}$/);
    const mangled = await fetch(`${fixture.url}/clusters`, { headers: { authorization: 'Bearer me' } });
    expect([mangled.status, mangled.headers.get('x-amzn-errortype')]).toEqual([403, 'IncompleteSignatureException']);
  });

  test('an operation that is not simulated says so', async () => {
    await expect(fixture.client.send(new ListFargateProfilesCommand({ clusterName: 'demo' }))).rejects.toMatchObject({
      name: 'UnknownOperationException',
      message: 'The simulated EKS does not serve GET /clusters/demo/fargate-profiles',
    });
  });

  test.each([
    [
      'a release of another minor version',
      { releaseVersion: '1.32.9-20260801' },
      'Requested release version 1.32.9-20260801 is not valid for kubernetes version 1.33.',
    ],
    [
      'a version that the cluster does not have',
      { version: '1.34' },
      'Nodegroup Kubernetes version should be equal to Cluster kubernetes version 1.33',
    ],
    ['a subnet of another network', { subnets: ['subnet-1'] }, `The subnet ID 'subnet-1' does not exist`],
    [
      'a minimum above the maximum',
      { scalingConfig: { minSize: 3, maxSize: 2, desiredSize: 3 } },
      `Minimum capacity 3 can't be greater than maximum size 2`,
    ],
    [
      'two kinds of limit at once',
      { updateConfig: { maxUnavailable: 1, maxUnavailablePercentage: 10 } },
      'updateConfig: maxUnavailable and maxUnavailablePercentage cannot be specified together',
    ],
    ['a role that is no ARN', { nodeRole: 'me' }, 'nodeRole: The role ARN is invalid'],
  ])('CreateNodegroup refuses %s', async (_, change, message) => {
    const input = { ...(await greenInput()), ...change };
    const refusal = fixture.client.send(new CreateNodegroupCommand(input));
    await expect(refusal).rejects.toThrow(InvalidParameterException);
    await expect(refusal).rejects.toThrow(message);
    expect((await fixture.client.send(new ListNodegroupsCommand({ clusterName: 'demo' }))).nodegroups).toEqual(['blue']);
  });

  test('a name that is taken is refused, and so is the thirty-first node group', async () => {
    const input = { ...(await greenInput()), scalingConfig: { minSize: 0, maxSize: 1, desiredSize: 0 } };
    await expect(fixture.client.send(new CreateNodegroupCommand({ ...input, nodegroupName: 'blue' }))).rejects.toMatchObject({
      name: 'ResourceInUseException',
      message: 'NodeGroup already exists with name blue and cluster name demo',
    });
    for (let number = 2; number <= 30; number++) {
      await fixture.client.send(new CreateNodegroupCommand({ ...input, nodegroupName: `group-${number}` }));
    }
    const oneTooMany = new CreateNodegroupCommand({ ...input, nodegroupName: 'group-31' });
    await expect(fixture.client.send(oneTooMany)).rejects.toThrow(ResourceLimitExceededException);
  });

  test('a page size out of range and a made-up page token are refused', async () => {
    const tooMany = fixture.client.send(new ListClustersCommand({ maxResults: 101 }));
    await expect(tooMany).rejects.toThrow('maxResults must be a whole number from 1 to 100');
    await expect(fixture.client.send(new ListClustersCommand({ nextToken: 'abc' }))).rejects.toThrow('The specified nextToken is invalid.');
  });
});

describe('client request tokens', () => {
  test('the same request under the same token gets the same answer and is done once', async () => {
    const input = { ...(await greenInput()), clientRequestToken: 'run-1/green' };
    const first = await fixture.client.send(new CreateNodegroupCommand(input));
    const second = await fixture.client.send(new CreateNodegroupCommand(input));
    expect(second.nodegroup).toEqual(first.nodegroup);
  });

  test('another request under the same token is refused', async () => {
    const input = { ...(await greenInput()), clientRequestToken: 'run-1/green' };
    await fixture.client.send(new CreateNodegroupCommand(input));
    const other = fixture.client.send(new CreateNodegroupCommand({ ...input, nodegroupName: 'teal' }));
    await expect(other).rejects.toThrow(InvalidParameterException);
    await expect(other).rejects.toThrow('clientRequestToken run-1/green was already used');
  });

  test('a request that was refused may be tried again under its token', async () => {
    const input = { ...(await greenInput()), clientRequestToken: 'run-1/green', subnets: ['subnet-1'] };
    await expect(fixture.client.send(new CreateNodegroupCommand(input))).rejects.toThrow('does not exist');
    const corrected = await fixture.client.send(new CreateNodegroupCommand({ ...(await greenInput()), clientRequestToken: 'run-1/green' }));
    expect(corrected.nodegroup?.status).toBe('CREATING');
  });
});

describe('tags', () => {
  test('are set, listed and taken away by ARN', async () => {
    const resourceArn = 'arn:aws:eks:eu-central-1:111122223333:cluster/demo';
    await fixture.client.send(new TagResourceCommand({ resourceArn, tags: { owner: 'sre', stage: 'test' } }));
    await fixture.client.send(new UntagResourceCommand({ resourceArn, tagKeys: ['stage'] }));
    expect((await fixture.client.send(new ListTagsForResourceCommand({ resourceArn }))).tags).toEqual({ owner: 'sre' });
    const missing = new ListTagsForResourceCommand({ resourceArn: `${resourceArn}-2` });
    await expect(fixture.client.send(missing)).rejects.toMatchObject({ name: 'NotFoundException' });
  });
});

test('the updates of a cluster and of its node groups are listed apart, in pages, and can be described', async () => {
  for (let desiredSize = 1; desiredSize <= 3; desiredSize++) {
    const { update } = await fixture.client.send(new UpdateNodegroupConfigCommand({ ...blue, scalingConfig: { desiredSize } }));
    const question = new DescribeUpdateCommand({ name: 'demo', nodegroupName: 'blue', updateId: update?.id });
    await eventually('the update to end', async () => {
      const answer = await fixture.client.send(question);
      return answer.update?.status === 'Successful' ? answer : undefined;
    });
  }
  const pages: string[][] = [];
  const input = { name: 'demo', nodegroupName: 'blue' };
  for await (const page of paginateListUpdates({ client: fixture.client, pageSize: 2 }, input)) pages.push(page.updateIds ?? []);
  expect(pages.map((page) => page.length)).toEqual([2, 1]);
  expect(new Set(pages.flat()).size).toBe(3);
  expect((await fixture.client.send(new ListUpdatesCommand({ name: 'demo' }))).updateIds).toEqual([]);
});
