import {
  ActivateCertificateAuthorityCommand,
  CreateCertificateAuthorityCommand,
  DeleteCertificateAuthorityCommand,
  DescribeCertificateAuthorityCommand,
  ListCertificateAuthoritiesCommand,
} from '@aws-sdk/client-eks';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Manifest } from '../../../sandbox/seed.ts';
import { eventually } from '../../sandbox/kubernetes-fixture.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import { once } from '../../support/proxy.ts';

const [create, activate, remove] = [
  'eks.createCertificateAuthority',
  'eks.activateCertificateAuthority',
  'eks.deleteCertificateAuthority',
] as const;
const old = 'ca-of-the-beginning';
/** So slow that an update is in progress for as long as a test looks at it. */
const slow = 10;
let demo: TestCluster;
afterEach(() => demo.stop());

async function start({ nodes = 0, speed = 6_000, manifests = [] as Manifest[] } = {}): Promise<void> {
  const [cluster] = worldWith(manifests, { nodes }).clusters;
  demo = await startCluster({ clusters: [{ ...cluster!, certificateAuthorityId: old }] }, { speed });
}

const eks = (): ReturnType<TestCluster['clients']['eks']> => demo.clients.eks(region);

async function ids(): Promise<string[]> {
  const { certificateAuthorities = [] } = await eks().send(new ListCertificateAuthoritiesCommand({ clusterName: 'demo' }));
  return certificateAuthorities.map(({ id }) => id ?? '');
}

async function append(): Promise<string> {
  const performed = await demo.perform(create, await demo.plan(create, {}));
  return performed.outputs['certificateAuthority'] as string;
}

async function activateIt(): Promise<void> {
  await demo.perform(activate, await demo.plan(activate, { olderNodes: 'accept' }));
}

describe('appending a successor', () => {
  test('is asked for once though the answer is lost, says its dates, and adopts the one that is there', async () => {
    await start({ nodes: 1 });
    const plan = await demo.plan(create, { outgoing: old });
    expect(plan).toMatchObject({ blockers: [], risks: [], facts: { signer: old, existing: null }, effects: [{ object: 'Cluster/demo' }] });
    expect(plan.notes.join('\n')).toMatch(/which signs now, is valid until \d{4}-.*Nodegroup\/demo\/blue: 1 node trusts/s);
    demo.proxy.treat = once(({ method, path }) => method === 'POST' && path.endsWith('/certificate-authorities'), 'lose-answer');
    await demo.perform(create, plan);
    const [, successor = ''] = await ids();
    expect(await ids()).toEqual([old, successor]);
    const again = await demo.plan(create, {});
    expect(again).toMatchObject({ effects: [], blockers: [], outputs: { certificateAuthority: successor } });
    expect(again.notes.join('\n')).toMatch(
      new RegExp(`${successor} is there already .*EKS may activate ${successor} by itself from \\d{4}`, 's'),
    );
    expect(await demo.perform(create, plan, { context: { run: 'r-2' } })).toMatchObject({ before: 'done', acts: 0 });
  });

  test('does nothing where another one signs than the one that is to go, and is refused while the outgoing one is trusted', async () => {
    await start();
    const successor = await append();
    await activateIt();
    expect(await demo.plan(create, { outgoing: old })).toMatchObject({ effects: [], blockers: [] });
    const { blockers } = await demo.plan(create, { outgoing: successor });
    expect(blockers).toEqual([expect.objectContaining({ reason: expect.stringContaining('EKS takes two at most') })]);
  });

  test('that fails is told with the reason of EKS; its rollback deletes what is left', async () => {
    await start();
    const plan = await demo.plan(create, {});
    demo.eks.setUpdateFailure('demo', { errorCode: 'OperationNotPermitted', errorMessage: 'no role', resourceIds: [] });
    expect(await failureOf(demo.perform(create, plan))).toMatchObject({
      code: 'action-stuck',
      message: expect.stringContaining('OperationNotPermitted'),
    });
    const failed = (await ids())[1] ?? '';
    const calls = [{ uses: remove, with: { certificateAuthority: failed, waitForUpdate: true } }];
    expect(await demo.undo(create, plan)).toEqual(calls);
    expect((await demo.plan(activate, {})).blockers[0]?.reason).toContain('is FAILED, not COMPLETE');
  });
});

describe('activating the successor', () => {
  test('is blocked by nodes that are older, names what they are brought up by, and people can sign for them', async () => {
    await start({ nodes: 1 });
    await append();
    const { blockers } = await demo.plan(activate, {});
    expect(blockers).toEqual([
      expect.objectContaining({ object: 'Nodegroup/demo/blue', reason: expect.stringContaining('1 node may be older') }),
    ]);
    const accepted = await demo.plan(activate, { olderNodes: 'accept' });
    expect(accepted).toMatchObject({ blockers: [], risks: [{ object: 'Nodegroup/demo/blue' }] });
  });

  test('names webhooks that trust the outgoing one only, and is done when aggregated APIs answer again', async () => {
    const service = { name: 'metrics', namespace: 'shop' };
    await start({
      manifests: [{ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: 'v1.metrics' }, spec: { service } }],
    });
    await append();
    const request = { clusterName: 'demo', certificateAuthorityId: old };
    const { certificateAuthority } = await eks().send(new DescribeCertificateAuthorityCommand(request));
    demo.cluster.apply({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'policy' },
      webhooks: [{ name: 'a.example.com', clientConfig: { service, caBundle: certificateAuthority?.data } }],
    });
    const plan = await demo.plan(activate, {});
    expect(plan).toMatchObject({ blockers: [], risks: [{ object: 'ValidatingWebhookConfiguration/policy' }] });
    const setAvailable = (status: 'True' | 'False'): void => {
      const actor = { part: 'cloud', name: 'test', verb: 'update' } as const;
      demo.cluster.store.update('apiservices', '/v1.metrics', actor, (draft) => {
        draft.status = { conditions: [{ type: 'Available', status }] };
      });
    };
    await demo.act(activate, plan);
    setAvailable('False');
    await eventually('it to sign', async () => {
      const seen = await demo.observe(activate, plan);
      return seen.progress?.summary.endsWith('signs; not Ready or not Available: APIService/v1.metrics') ? seen.state : undefined;
    });
    const checkpoint = { read: () => ({ unwellSinceMs: Date.now() - 11 * 60_000, retry: 0 }), write: () => undefined };
    expect(await demo.observe(activate, plan, { checkpoint })).toMatchObject({
      state: 'stuck',
      reason: expect.stringContaining('APIService/v1.metrics'),
    });
    expect(await demo.observe(activate, plan, { checkpoint, retry: 1 })).toMatchObject({ state: 'moving' });
    setAvailable('True');
    expect(await demo.observe(activate, plan)).toMatchObject({ state: 'done' });
    setAvailable('False');
    // What is rolled back may be what has made them unwell.
    const back = await demo.plan(activate, { certificateAuthority: old });
    expect(back).toMatchObject({ blockers: [], facts: { judgesHealth: false } });
    expect(await demo.perform(activate, back)).toMatchObject({ acts: 1 });
    const forth = await demo.plan(activate, {});
    expect(forth.blockers).toEqual([expect.objectContaining({ object: 'APIService/v1.metrics' })]);
  });

  test('is refused without a successor, for one that does not exist, and while EKS changes the cluster', async () => {
    await start({ speed: slow });
    expect((await demo.plan(activate, {})).blockers[0]?.reason).toContain('no successor');
    expect((await demo.plan(activate, { certificateAuthority: 'nobody' })).blockers[0]?.reason).toContain(
      'no certificate authority nobody',
    );
    await eks().send(new CreateCertificateAuthorityCommand({ clusterName: 'demo' }));
    const reasons = (await demo.plan(activate, {})).blockers.map(({ reason }) => reason);
    expect(reasons).toEqual([expect.stringContaining('is in progress'), expect.stringContaining('still distributing')]);
  });

  test('is rolled back while EKS allows it; once the outgoing one is deleted it says why not', async () => {
    await start();
    const successor = await append();
    const plan = await demo.plan(activate, {});
    await demo.perform(activate, plan);
    const [call] = (await demo.undo(activate, plan)) as { uses: string; with: { certificateAuthority: string } }[];
    expect(call).toMatchObject({ uses: activate, with: { certificateAuthority: old } });
    const deletion = await demo.plan(remove, { certificateAuthority: old });
    expect(deletion).toMatchObject({ blockers: [], risks: [{ object: `CertificateAuthority/demo/${old}` }] });
    expect(await demo.perform(remove, deletion)).toMatchObject({ acts: 1 });
    expect(await ids()).toEqual([successor]);
    expect(await demo.undo(activate, plan)).toEqual({ noUndo: expect.stringContaining('has been deleted') });
  });
});

describe('deleting', () => {
  test('is refused for the one that signs, also where it came to sign after the plan', async () => {
    await start();
    const successor = await append();
    expect((await demo.plan(remove, { certificateAuthority: old })).blockers[0]?.reason).toContain('signs certificates (IN_USE)');
    const plan = await demo.plan(remove, { certificateAuthority: successor });
    await activateIt();
    expect(await failureOf(demo.perform(remove, plan))).toMatchObject({ code: 'action-stuck', message: expect.stringContaining('IN_USE') });
    expect(await ids()).toEqual([old, successor]);
  });
});

describe('the simulated EKS refuses', () => {
  test('a third authority, one that is not distributed, the one that signs, and what it does not know', async () => {
    await start({ speed: slow });
    const clusterName = 'demo';
    const nameOf = (call: Promise<unknown>): Promise<string> =>
      call.then(
        () => 'done',
        (error: unknown) => (error as Error).name,
      );
    const made = await eks().send(new CreateCertificateAuthorityCommand({ clusterName, clientRequestToken: 'once' }));
    const same = await eks().send(new CreateCertificateAuthorityCommand({ clusterName, clientRequestToken: 'once' }));
    const certificateAuthorityId = made.certificateAuthority?.id;
    expect(same.certificateAuthority?.id).toBe(certificateAuthorityId);
    expect([
      await nameOf(eks().send(new CreateCertificateAuthorityCommand({ clusterName }))),
      await nameOf(eks().send(new ActivateCertificateAuthorityCommand({ clusterName, certificateAuthorityId }))),
      await nameOf(eks().send(new DeleteCertificateAuthorityCommand({ clusterName, certificateAuthorityId: old }))),
      await nameOf(eks().send(new DescribeCertificateAuthorityCommand({ clusterName, certificateAuthorityId: 'nobody' }))),
    ]).toEqual(['ResourceInUseException', 'InvalidParameterException', 'ResourceInUseException', 'ResourceNotFoundException']);
  });
});
