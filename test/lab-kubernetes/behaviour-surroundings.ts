import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually, isReady, never, Place, podTemplate, until, type KubernetesWorld } from './world.ts';

interface Endpoint {
  conditions: { ready: boolean; serving: boolean; terminating: boolean };
  targetRef: { name: string };
}

/** What lies around workloads: events, EndpointSlices, the rules of placement, policies of admission. The same at every control plane. */
export function describeSurroundings(world: () => KubernetesWorld): void {
  let place: Place;

  beforeEach(async () => {
    place = await Place.create(world().door);
  });

  afterEach(() => place.leave());

  const namespaced = (group: string, plural: string): string => `/apis/${group}/namespaces/${place.namespace}/${plural}`;

  describe('events', () => {
    test('controllers and the scheduler tell what they have done, each of its own object', async () => {
      const [pod] = await place.workload('web', 1);
      const told = async (): Promise<string[]> => {
        const { body } = await place.send('GET', `/api/v1/namespaces/${place.namespace}/events`);
        const events = body.items as { reason: string; type: string; involvedObject: { kind: string }; source: { component?: string } }[];
        return events.map(
          ({ reason, type, involvedObject, source }) => `${type} ${reason} ${involvedObject.kind} ${source.component ?? ''}`,
        );
      };
      const wanted = [
        'Normal ScalingReplicaSet Deployment deployment-controller',
        'Normal SuccessfulCreate ReplicaSet replicaset-controller',
        expect.stringMatching(/^Normal Scheduled Pod (default-scheduler)?$/),
      ];
      await until('three events', async () => (await told()).length >= wanted.length);
      expect(await told()).toEqual(expect.arrayContaining(wanted));
      expect(pod).toBeDefined();
    });
  });

  describe('endpoint slices', () => {
    test('they follow whether pods are ready, and whether they are on their way out', async () => {
      const spec = { selector: { app: 'web' }, ports: [{ port: 80 }] };
      await place.create(`/api/v1/namespaces/${place.namespace}/services`, { metadata: { name: 'web' }, spec });
      const endpoints = async (): Promise<Endpoint[]> => {
        const { body } = await place.send(
          'GET',
          `${namespaced('discovery.k8s.io/v1', 'endpointslices')}?labelSelector=kubernetes.io/service-name=web`,
        );
        return (body.items as { endpoints?: Endpoint[] | null }[]).flatMap(({ endpoints: some }) => some ?? []);
      };
      const when = (what: string, wanted: (seen: Endpoint[]) => boolean): Promise<Endpoint[]> =>
        eventually(what, async () => {
          const seen = await endpoints();
          return wanted(seen) ? seen : undefined;
        });
      const [first] = await place.workload('web', 1, { shutdownSeconds: never });
      await when('a ready endpoint', (seen) => seen.length === 1 && seen.every(({ conditions }) => conditions.ready));
      await place.evict(first?.metadata.name ?? '');
      const ofFirst = (seen: Endpoint[]): Endpoint | undefined => seen.find(({ targetRef }) => targetRef.name === first?.metadata.name);
      const leaving = await when('the endpoint to be on its way out', (seen) => ofFirst(seen)?.conditions.terminating === true);
      expect(ofFirst(leaving)?.conditions).toEqual({ ready: false, serving: true, terminating: true });
      await place.send('DELETE', `${place.podsPath}/${first?.metadata.name}?gracePeriodSeconds=0`);
      await when('the endpoint to be gone', (seen) => ofFirst(seen) === undefined);
    });
  });

  describe('placement', () => {
    const labels = { app: 'web' };
    const topologyKey = 'kubernetes.io/hostname';

    async function deploy(replicas: number, rules: object): Promise<void> {
      const template = podTemplate('web');
      const spec = { replicas, selector: { matchLabels: labels }, template: { ...template, spec: { ...template.spec, ...rules } } };
      await place.create(namespaced('apps/v1', 'deployments'), { metadata: { name: 'web' }, spec });
    }

    test('pods that want to be apart have a node each, and the last one none', async () => {
      const term = { labelSelector: { matchLabels: labels }, topologyKey };
      await deploy(4, { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } });
      const seen = await place.podsWhen('three pods and one that waits', 'web', (pods) => {
        const waits = pods.filter(({ status }) => status.conditions?.some(({ reason }) => reason === 'Unschedulable'));
        return pods.length === 4 && waits.length === 1 && pods.filter(isReady).length === 3;
      });
      expect(new Set(seen.map(({ spec }) => spec.nodeName)).size).toBe(4);
      const message = seen.find(({ spec }) => spec.nodeName === undefined)?.status.conditions?.[0]?.message;
      expect(message).toMatch(/^0\/3 nodes are available: 3 node\(s\) didn't match pod anti-affinity rules/);
    });

    test('pods that are to be spread differ by no more than the skew between nodes', async () => {
      const rule = { maxSkew: 1, topologyKey, whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: labels } };
      await deploy(5, { topologySpreadConstraints: [rule] });
      const seen = await place.podsWhen('five pods', 'web', (pods) => pods.length === 5 && pods.every(isReady));
      const perNode = new Map<string, number>();
      for (const { spec } of seen) perNode.set(spec.nodeName ?? '', (perNode.get(spec.nodeName ?? '') ?? 0) + 1);
      expect([...perNode.values()].sort()).toEqual([1, 2, 2]);
    });
  });

  describe('admission', () => {
    const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';

    test('a policy denies an eviction in its words, and what it does not mean passes', async () => {
      const [pod] = await place.workload('web', 1, { shutdownSeconds: never });
      const name = place.namespace;
      const resourceRules = [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods/eviction'] }];
      const validations = [{ expression: "request.name == 'nobody'", message: 'not on a Friday' }];
      await place.create(policies, { metadata: { name }, spec: { matchConstraints: { resourceRules }, validations } });
      const matchResources = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } };
      const spec = { policyName: name, validationActions: ['Deny'], matchResources };
      await place.create(policies.replace(/ies$/, 'ybindings'), { metadata: { name }, spec });
      try {
        // A policy takes a moment to be heeded.
        const body = await eventually('the denial', async () => {
          const answer = await place.evict(pod?.metadata.name ?? '', { deleteOptions: { dryRun: ['All'] } });
          return answer.status === 201 ? undefined : answer.body;
        });
        expect(body).toMatchObject({ code: 422, reason: 'Invalid' });
        const words = `ValidatingAdmissionPolicy '${name}' with binding '${name}' denied request: not on a Friday`;
        expect(body.message).toBe(`pods "${pod?.metadata.name}" is forbidden: ${words}`);
        expect((await place.send('DELETE', `${place.podsPath}/${pod?.metadata.name}?gracePeriodSeconds=0`)).status).toBe(200);
      } finally {
        await place.send('DELETE', `${policies.replace(/ies$/, 'ybindings')}/${name}`);
        await place.send('DELETE', `${policies}/${name}`);
      }
    });

    test('fields that a kind does not have are refused where the client asks for it', async () => {
      const body = { apiVersion: 'v1', kind: 'Pod', ...podTemplate('web'), metadata: { name: 'web' } };
      Object.assign(body.spec.containers[0] ?? {}, { imag: 'x' });
      const answer = await place.send('POST', `${place.podsPath}?fieldValidation=Strict`, body);
      expect(answer.body).toMatchObject({
        code: 400,
        reason: 'BadRequest',
        message: 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.containers[0].imag"',
      });
    });
  });
}
