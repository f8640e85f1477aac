import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  DescribeInstanceTypesCommand,
  DescribeLaunchTemplatesCommand,
  DescribeLaunchTemplateVersionsCommand,
  DescribeSubnetsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { DescribeNodegroupCommand, EKSClient } from '@aws-sdk/client-eks';
import { createCloud, type Cloud } from '../../sandbox/cloud.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { demoClusterName, demoRegion, demoWorld } from '../../sandbox/worlds/demo.ts';

let sandbox: Sandbox;
let cloud: Cloud;
let ec2: EC2Client;
let subnetIds: string[];

beforeAll(async () => {
  sandbox = await startSandbox({ seed: demoWorld, speed: 100, cloud: (world) => (cloud = createCloud(world)).handle });
  const client = { region: demoRegion, endpoint: sandbox.url, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  ec2 = new EC2Client(client);
  const eks = new EKSClient(client);
  const { nodegroup } = await eks.send(new DescribeNodegroupCommand({ clusterName: demoClusterName, nodegroupName: 'blue' }));
  subnetIds = nodegroup?.subnets ?? [];
  eks.destroy();
});

afterAll(async () => {
  ec2.destroy();
  await sandbox.stop();
});

test('the subnets of a node group say their zone and what their nodes and pods leave of a /24', async () => {
  const { Subnets: subnets = [] } = await ec2.send(new DescribeSubnetsCommand({ SubnetIds: subnetIds }));
  expect(subnets.map(({ AvailabilityZone: zone }) => zone)).toEqual(['eu-central-1a', 'eu-central-1b', 'eu-central-1c']);
  for (const { AvailableIpAddressCount: free = 0 } of subnets) {
    expect(free).toBeGreaterThan(200);
    expect(free).toBeLessThan(249);
  }
});

test('a subnet can be made to run out of addresses', async () => {
  cloud.setFreeAddresses(subnetIds[0] ?? '', 2);
  const { Subnets: subnets = [] } = await ec2.send(new DescribeSubnetsCommand({ SubnetIds: subnetIds.slice(0, 1) }));
  expect(subnets[0]?.AvailableIpAddressCount).toBe(2);
});

test('launch templates, their used versions and instance types are told by id, and refused where there are none', async () => {
  const ask = { LaunchTemplateId: 'lt-0none', Versions: ['1'] };
  await expect(ec2.send(new DescribeLaunchTemplatesCommand({ LaunchTemplateIds: ['lt-0none'] }))).rejects.toMatchObject({
    name: 'InvalidLaunchTemplateId.NotFound',
  });
  await expect(ec2.send(new DescribeLaunchTemplateVersionsCommand(ask))).rejects.toMatchObject({
    name: 'InvalidLaunchTemplateId.NotFound',
  });
  const { InstanceTypes: types = [] } = await ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: ['m6i.large'] }));
  const NetworkInfo = { MaximumNetworkInterfaces: 3, Ipv4AddressesPerInterface: 10 };
  expect(types).toMatchObject([{ InstanceType: 'm6i.large', VCpuInfo: { DefaultVCpus: 2 }, NetworkInfo }]);
  const unknown = new DescribeInstanceTypesCommand({ InstanceTypes: ['m6i.none' as 'm6i.large'] });
  await expect(ec2.send(unknown)).rejects.toMatchObject({ name: 'InvalidInstanceType' });
});

test('the Auto Scaling group of a node group is found by the tag of its cluster', async () => {
  const ask = (tag: string): Promise<string> => {
    const filter = { 'Filters.member.1.Name': 'tag-key', 'Filters.member.1.Values.member.1': tag };
    const body = new URLSearchParams({ Action: 'DescribeAutoScalingGroups', Version: '2011-01-01', ...filter });
    const authorization = 'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/autoscaling/aws4_request';
    return fetch(sandbox.url, { method: 'POST', body, headers: { authorization } }).then((answer) => answer.text());
  };
  expect(await ask(`kubernetes.io/cluster/${demoClusterName}`)).toMatch(/<AutoScalingGroupName>eks-blue-.*<HealthStatus>Healthy</);
  expect(await ask('kubernetes.io/cluster/other')).toContain('<AutoScalingGroups></AutoScalingGroups>');
});

test('a subnet that does not exist is refused as EC2 does', async () => {
  const call = ec2.send(new DescribeSubnetsCommand({ SubnetIds: ['subnet-0none'] }));
  await expect(call).rejects.toMatchObject({ name: 'InvalidSubnetID.NotFound', message: "The subnet ID 'subnet-0none' does not exist" });
});
