import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually, isRunning, never, Place, podTemplate, until, type KubernetesWorld, type PodSeen } from './world.ts';

interface JobStatus {
  active?: number;
  succeeded?: number;
  failed?: number;
  completionTime?: string;
  conditions?: { type: string; status: string; reason?: string }[];
}

/** How Jobs run their pods: the same at every control plane. */
export function describeJobs(world: () => KubernetesWorld): void {
  let place: Place;

  beforeEach(async () => {
    place = await Place.create(world().door);
  });

  afterEach(() => place.leave());

  const jobs = (): string => `/apis/batch/v1/namespaces/${place.namespace}/jobs`;

  /** Creates a job whose pods succeed after so many seconds; never, where it says so. */
  async function create(name: string, runtimeSeconds: number, spec: object = {}): Promise<void> {
    const { metadata, spec: podSpec } = podTemplate(name);
    const annotations = { ...metadata.annotations, 'sandbox.holdpoint.dev/runtime-seconds': String(runtimeSeconds) };
    const template = { metadata: { ...metadata, annotations }, spec: { ...podSpec, restartPolicy: 'Never' } };
    await place.create(jobs(), { apiVersion: 'batch/v1', kind: 'Job', metadata: { name }, spec: { ...spec, template } });
  }

  async function status(name: string): Promise<JobStatus> {
    const { body } = await place.send('GET', `${jobs()}/${name}`);
    return body.status ?? {};
  }

  function statusWhen(what: string, name: string, wanted: (seen: JobStatus) => boolean): Promise<JobStatus> {
    return eventually(what, async () => {
      const seen = await status(name);
      return wanted(seen) ? seen : undefined;
    });
  }

  const has = ({ conditions }: JobStatus, type: string): boolean =>
    conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;

  const runningPod = async (name: string, notOf: readonly string[] = []): Promise<PodSeen> =>
    eventually(`a running pod of ${name}`, async () =>
      (await place.pods(name)).find((pod) => isRunning(pod) && !notOf.includes(pod.metadata.uid) && !pod.metadata.deletionTimestamp),
    );

  describe('jobs', () => {
    test('a job is complete when as many pods have succeeded as it asks for; the pods stay', async () => {
      await create('batch', 0.1, { completions: 3, parallelism: 2 });
      const done = await statusWhen('the job to be complete', 'batch', (seen) => has(seen, 'Complete'));
      expect(done).toMatchObject({ succeeded: 3, completionTime: expect.stringMatching(/^\d{4}-/) });
      expect(done.active ?? 0).toBe(0);
      const pods = await place.pods('batch');
      expect(pods.map(({ status: seen }) => seen.phase)).toEqual(['Succeeded', 'Succeeded', 'Succeeded']);
      expect(pods[0]?.metadata.labels).toMatchObject({ 'job-name': 'batch', 'batch.kubernetes.io/job-name': 'batch' });
    });

    test('a pod that is evicted has failed, and another one begins anew', async () => {
      await create('batch', never);
      const first = await runningPod('batch');
      expect((await place.evict(first.metadata.name)).status).toBe(201);
      const second = await runningPod('batch', [first.metadata.uid]);
      expect(second.metadata.name).not.toBe(first.metadata.name);
      await until('the first one to be gone', async () => (await place.pod(first.metadata.name)) === undefined);
      expect(await statusWhen('the failure to be counted', 'batch', ({ failed = 0 }) => failed > 0)).toMatchObject({
        failed: 1,
        active: 1,
      });
    });

    test('a job whose pods fail more often than its limit has failed', async () => {
      await create('batch', never, { backoffLimit: 0 });
      const pod = await runningPod('batch');
      await place.evict(pod.metadata.name);
      const seen = await statusWhen('the job to have failed', 'batch', (job) => has(job, 'Failed'));
      expect(seen).toMatchObject({ failed: 1 });
      expect(seen.conditions).toEqual(
        expect.arrayContaining([expect.objectContaining({ type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded' })]),
      );
    });
  });
}
