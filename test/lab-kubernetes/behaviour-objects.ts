import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { watch } from './raw.ts';
import { eventually, jsonPatch, mergePatch, nodeNames, Place, strategicPatch, until, type KubernetesWorld } from './world.ts';

/** Fields of an object, each under `f:` and its name. */
interface FieldSet {
  [field: string]: FieldSet | undefined;
}

/** How objects are read, watched and written: the same at every API server. */
export function describeObjects(world: () => KubernetesWorld): void {
  let place: Place;

  beforeEach(async () => {
    place = await Place.create(world().door);
  });

  afterEach(() => place.leave());

  const firstNode = async (): Promise<string> => (await nodeNames(world().door))[0] ?? '';

  async function node(name: string) {
    const { body } = await place.send('GET', `/api/v1/nodes/${name}`);
    return body as {
      metadata: {
        uid: string;
        resourceVersion: string;
        labels?: Record<string, string>;
        managedFields?: { manager: string; fieldsV1: FieldSet }[];
      };
      spec: { taints?: { key: string }[] };
    };
  }

  /** Nodes belong to all tests: whatever one puts on them is taken away again. */
  async function uncordon(name: string): Promise<void> {
    await place.send('PATCH', `/api/v1/nodes/${name}`, { spec: { unschedulable: null } }, mergePatch);
    await until(
      'the taint to go',
      async () => !(await node(name)).spec.taints?.some(({ key }) => key === 'node.kubernetes.io/unschedulable'),
    );
  }

  describe('reading', () => {
    test('a list has a version, and its items carry neither kind nor version of the API', async () => {
      await place.workload('web', 2);
      const { body } = await place.send('GET', place.podsPath);
      expect(body).toMatchObject({ kind: 'PodList', apiVersion: 'v1', metadata: { resourceVersion: expect.stringMatching(/^\d+$/) } });
      expect((body.items as object[]).map((item) => 'kind' in item)).toEqual([false, false]);
    });

    test.each([
      ['app=web', 2],
      ['app!=web', 1],
      ['app in (web, cart)', 3],
      ['app notin (web)', 1],
      ['!app', 0],
      ['app,pod-template-hash', 3],
    ])('the label selector %s finds %i pods', async (selector, count) => {
      await Promise.all([place.workload('web', 2), place.workload('cart', 1)]);
      const { body } = await place.send('GET', `${place.podsPath}?labelSelector=${encodeURIComponent(selector)}`);
      expect(body.items).toHaveLength(count);
    });

    test('pods are found by their node, and a field that is not offered is refused', async () => {
      const [pod] = await place.workload('web', 1);
      const at = `spec.nodeName=${pod?.spec.nodeName},status.phase=Running`;
      const { body } = await place.send('GET', `${place.podsPath}?fieldSelector=${encodeURIComponent(at)}`);
      expect(body.items).toHaveLength(1);
      const refused = await place.send('GET', '/api/v1/nodes?fieldSelector=spec.colour%3Dred');
      expect(refused.body).toMatchObject({
        code: 400,
        reason: 'BadRequest',
        message: expect.stringContaining('field label not supported: spec.colour'),
      });
    });

    test('the pages of a list show the world as it was at the first page', async () => {
      const seen = await place.workload('web', 4, { shutdownSeconds: 0 });
      const first = (await place.send('GET', `${place.podsPath}?limit=3`)).body;
      const { continue: token, resourceVersion, remainingItemCount } = first.metadata as Record<string, string>;
      expect(remainingItemCount).toBe(1);
      const shown = (first.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
      const last = seen.find(({ metadata }) => !shown.includes(metadata.name))?.metadata.name ?? '';
      await place.send('DELETE', `${place.podsPath}/${last}?gracePeriodSeconds=0`);
      const second = (await place.send('GET', `${place.podsPath}?limit=3&continue=${encodeURIComponent(token ?? '')}`)).body;
      expect((second.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name)).toEqual([last]);
      expect(second.metadata).toMatchObject({ resourceVersion });
      expect((second.metadata as { continue?: string }).continue ?? '').toBe('');
    });

    test('a page that comes too late is answered with 410', async () => {
      await place.workload('web', 2);
      const { metadata } = (await place.send('GET', `${place.podsPath}?limit=1`)).body;
      await place.workload('later', 1);
      await world().forgetVersions();
      const token = encodeURIComponent((metadata as { continue: string }).continue);
      const body = await eventually('the version to be forgotten', async () => {
        const answer = await place.send('GET', `${place.podsPath}?limit=1&continue=${token}`);
        return answer.status === 200 ? undefined : answer.body;
      });
      expect(body).toMatchObject({
        kind: 'Status',
        code: 410,
        reason: 'Expired',
        message: expect.stringContaining('The provided continue parameter is too old to display a consistent list result.'),
      });
    });

    test('a list of a version that is forgotten is answered with 410, of one that is to come with 504', async () => {
      const { metadata } = (await place.send('GET', place.podsPath)).body;
      const version = Number((metadata as { resourceVersion: string }).resourceVersion);
      await place.workload('later', 1);
      await world().forgetVersions();
      const old = await eventually('the version to be forgotten', async () => {
        const answer = await place.send('GET', `${place.podsPath}?resourceVersion=${version}&resourceVersionMatch=Exact`);
        return answer.status === 200 ? undefined : answer.body;
      });
      expect(old).toMatchObject({ code: 410, reason: 'Expired' });
      const future = await place.send('GET', `${place.podsPath}?resourceVersion=${version + 1_000_000}&resourceVersionMatch=NotOlderThan`);
      expect(future.body).toMatchObject({ code: 504, reason: 'Timeout', message: expect.stringContaining('Too large resource version') });
    });

    test('what is not there is answered with a Status that names it', async () => {
      const { status, body } = await place.send('GET', '/api/v1/nodes/nowhere');
      expect([status, body]).toEqual([
        404,
        {
          kind: 'Status',
          apiVersion: 'v1',
          metadata: {},
          status: 'Failure',
          message: 'nodes "nowhere" not found',
          reason: 'NotFound',
          details: { name: 'nowhere', kind: 'nodes' },
          code: 404,
        },
      ]);
      expect((await place.send('GET', place.budgetPath('x'))).body).toMatchObject({
        message: 'poddisruptionbudgets.policy "x" not found',
        details: { name: 'x', group: 'policy', kind: 'poddisruptionbudgets' },
      });
    });
  });

  describe('watching', () => {
    test('a watch goes on where a list ended and tells every change once, in order', async () => {
      const { metadata } = (await place.send('GET', place.podsPath)).body;
      const { resourceVersion } = metadata as { resourceVersion: string };
      const stream = await place.watchPods(`resourceVersion=${resourceVersion}`);
      await place.barePod('one');
      await place.send('DELETE', `${place.podsPath}/one?gracePeriodSeconds=0`);
      await until('the deletion', async () => stream.events.some(({ type }) => type === 'DELETED'));
      stream.close();
      const types = stream.events.map(({ type }) => type);
      expect([types[0], types.at(-1)]).toEqual(['ADDED', 'DELETED']);
      expect(new Set(types.slice(1, -1))).toEqual(new Set(['MODIFIED']));
      const versions = stream.events.map(({ object }) => Number(object.metadata.resourceVersion));
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
    });

    test('a watch without a version begins with everything that is there', async () => {
      await place.workload('web', 3);
      const stream = await place.watchPods('');
      await until('three pods', async () => stream.events.length >= 3);
      stream.close();
      expect(stream.events.slice(0, 3).map(({ type }) => type)).toEqual(['ADDED', 'ADDED', 'ADDED']);
    });

    test('a watch from a version that is forgotten is told 410 as an event of a good answer', async () => {
      const { metadata } = (await place.send('GET', place.podsPath)).body;
      const { resourceVersion } = metadata as { resourceVersion: string };
      await place.workload('later', 1);
      await world().forgetVersions();
      // Events: the API server keeps the last versions of everything else in its memory as well.
      const path = `/api/v1/namespaces/${place.namespace}/events?watch=true&resourceVersion=${resourceVersion}`;
      const stream = await watch(world().door, path);
      await stream.over;
      expect(stream.events).toEqual([
        { type: 'ERROR', object: expect.objectContaining({ kind: 'Status', code: 410, reason: 'Expired', status: 'Failure' }) },
      ]);
      expect(stream.events[0]?.object.message).toContain('too old');
    });

    test('a watch ends at its time', async () => {
      const { metadata } = (await place.send('GET', place.podsPath)).body;
      const stream = await place.watchPods(`resourceVersion=${(metadata as { resourceVersion: string }).resourceVersion}&timeoutSeconds=1`);
      await stream.over;
      expect(stream.events).toEqual([]);
    });

    test('whoever asks for the beginning of a stream is told where it ends', async () => {
      await place.workload('web', 2);
      const query = 'sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan';
      const stream = await place.watchPods(query);
      const end = await eventually('the bookmark', async () => stream.events.find(({ type }) => type === 'BOOKMARK'));
      stream.close();
      expect(end.object.metadata).toMatchObject({ annotations: { 'k8s.io/initial-events-end': 'true' } });
      expect(stream.events.slice(0, 2).map(({ type }) => type)).toEqual(['ADDED', 'ADDED']);
    });

    test('an object that ceases to match the selector is told as deleted, and as added when it matches again', async () => {
      const name = await firstNode();
      const query = 'watch=true&fieldSelector=spec.unschedulable%3Dfalse';
      const types: string[] = [];
      const stream = await watch(world().door, `/api/v1/nodes?${query}`, ({ type, object }) => {
        if (object.metadata.name === name && type !== 'MODIFIED') types.push(type);
      });
      await until('the node', async () => types.length === 1);
      await place.send('PATCH', `/api/v1/nodes/${name}`, { spec: { unschedulable: true } }, mergePatch);
      await until('the node to leave', async () => types.length === 2);
      await uncordon(name);
      await until('the node to come back', async () => types.length === 3);
      stream.close();
      expect(types).toEqual(['ADDED', 'DELETED', 'ADDED']);
    });
  });

  describe('writing', () => {
    const modified = (name: string): string =>
      `Operation cannot be fulfilled on nodes "${name}": the object has been modified; ` +
      'please apply your changes to the latest version and try again';

    test('a cordon is followed by its taint, and lifting it by the end of the taint', async () => {
      const name = await firstNode();
      await place.send('PATCH', `/api/v1/nodes/${name}`, { spec: { unschedulable: true } }, strategicPatch);
      const tainted = await eventually('the taint', async () =>
        (await node(name)).spec.taints?.find(({ key }) => key.includes('unschedulable')),
      );
      expect(tainted).toMatchObject({ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' });
      await uncordon(name);
    });

    test('no pod comes to a cordoned node', async () => {
      const [first = '', ...others] = await nodeNames(world().door);
      await place.send('PATCH', `/api/v1/nodes/${first}`, { spec: { unschedulable: true } }, mergePatch);
      const seen = await place.workload('web', 6);
      await uncordon(first);
      expect(others).toEqual(expect.arrayContaining([...new Set(seen.map(({ spec }) => spec.nodeName))]));
    });

    test('whose a cordon is can be told by its field, also after it was lifted and set again by somebody else', async () => {
      const name = await firstNode();
      const patch = (manager: string, body: object, type = mergePatch) =>
        place.send('PATCH', `/api/v1/nodes/${name}?fieldManager=${manager}`, body, type);
      const managersOf = async (path: string[]): Promise<string[]> => {
        const { managedFields = [] } = (await node(name)).metadata;
        const find = (fields: FieldSet) => path.reduce<FieldSet | undefined>((set, field) => set?.[field], fields);
        return managedFields.filter(({ fieldsV1 }) => find(fieldsV1) !== undefined).map(({ manager }) => manager);
      };
      const cordon = ['f:spec', 'f:unschedulable'];
      const mark = ['f:metadata', 'f:annotations', 'f:holdpoint.dev/x'];
      const annotations = { 'holdpoint.dev/x': 'y' };
      await patch('one', { metadata: { annotations }, spec: { unschedulable: true } });
      expect([await managersOf(cordon), await managersOf(mark)]).toEqual([['one'], ['one']]);
      await patch('two', { spec: { unschedulable: true } });
      expect(await managersOf(cordon)).toEqual(['one']);
      await patch('kubectl-two', { spec: { unschedulable: null } }, strategicPatch);
      expect([await managersOf(cordon), await managersOf(mark)]).toEqual([[], ['one']]);
      await patch('kubectl-two', { spec: { unschedulable: true } }, strategicPatch);
      expect([await managersOf(cordon), await managersOf(mark)]).toEqual([['kubectl-two'], ['one']]);
      await patch('one', { metadata: { annotations: { 'holdpoint.dev/x': null } } });
      expect([await managersOf(cordon), await managersOf(mark)]).toEqual([['kubectl-two'], []]);
      await uncordon(name);
    });

    test.each([
      ['a merge patch', 'PATCH', mergePatch],
      ['a strategic merge patch', 'PATCH', strategicPatch],
      ['a replacement', 'PUT', 'application/json'],
    ])('%s that rests on an older version is refused with 409 and changes nothing', async (_what, method, type) => {
      const name = await firstNode();
      const read = await node(name);
      await place.send('PATCH', `/api/v1/nodes/${name}`, { metadata: { labels: { first: read.metadata.resourceVersion } } }, mergePatch);
      const { resourceVersion } = read.metadata;
      const change = { metadata: { resourceVersion, labels: { ...(method === 'PUT' ? read.metadata.labels : {}), second: 'yes' } } };
      const body = method === 'PUT' ? { ...read, metadata: { ...read.metadata, ...change.metadata } } : change;
      const answer = await place.send(method, `/api/v1/nodes/${name}`, body, type);
      expect(answer.body).toMatchObject({ code: 409, reason: 'Conflict', message: modified(name), details: { name, kind: 'nodes' } });
      const { labels } = (await node(name)).metadata;
      expect([labels?.first, labels?.second]).toEqual([resourceVersion, undefined]);
    });

    test('what is meant for an object of another UID is refused: a patch with 422, a replacement with 409', async () => {
      const budget = { metadata: { name: 'one' }, spec: { minAvailable: 1 } };
      const path = place.budgetPath('one');
      const made = await place.create(path.replace(/\/one$/, ''), budget);
      const { uid } = made.metadata as { uid: string };
      const patched = await place.send('PATCH', path, { metadata: { uid: 'another', labels: { a: 'b' } } }, mergePatch);
      expect(patched.body).toMatchObject({
        code: 422,
        reason: 'Invalid',
        message: 'PodDisruptionBudget.policy "one" is invalid: metadata.uid: Invalid value: "another": field is immutable',
      });
      const body = { ...made, metadata: { ...(made.metadata as object), uid: 'another' } };
      const replaced = await place.send('PUT', path, body);
      expect(replaced.body).toMatchObject({ code: 409, reason: 'Conflict' });
      expect(replaced.body.message).toContain(`Precondition failed: UID in precondition: another, UID in object meta: ${uid}`);
    });

    test('a patch that names the current version is taken', async () => {
      const budget = { metadata: { name: 'one' }, spec: { minAvailable: 1 } };
      const path = place.budgetPath('one');
      await place.create(path.replace(/\/one$/, ''), budget);
      await place.budgetWhen('one', () => true);
      const { resourceVersion } = (await place.send('GET', path)).body.metadata as { resourceVersion: string };
      const { status, body } = await place.send('PATCH', path, { metadata: { resourceVersion, labels: { a: 'b' } } }, mergePatch);
      expect([status, (body.metadata as { labels: object }).labels]).toEqual([200, { a: 'b' }]);
    });

    test('a patch that changes nothing leaves the version as it is', async () => {
      const name = await firstNode();
      const path = `${place.podsPath}/${(await place.barePod('still')).metadata.name}`;
      const before = (await place.send('PATCH', path, { metadata: { labels: { a: 'b' } } }, mergePatch)).body;
      const after = (await place.send('PATCH', path, { metadata: { labels: { a: 'b' } } }, mergePatch)).body;
      expect((after.metadata as { resourceVersion: string }).resourceVersion).toBe(
        (before.metadata as { resourceVersion: string }).resourceVersion,
      );
      expect(name).not.toBe('');
    });

    test('a JSON patch whose test fails changes nothing', async () => {
      const name = await firstNode();
      const operations = [
        { op: 'add', path: '/metadata/labels/holdpoint.dev~1x', value: 'y' },
        { op: 'test', path: '/metadata/name', value: 'another' },
      ];
      const { status, body } = await place.send('PATCH', `/api/v1/nodes/${name}`, operations, jsonPatch);
      expect([status, body.reason]).toEqual([422, 'Invalid']);
      expect((await node(name)).metadata.labels?.['holdpoint.dev/x']).toBeUndefined();
    });

    test('a patch of a type that is not known is answered with 415', async () => {
      const { body } = await place.send('PATCH', `/api/v1/nodes/${await firstNode()}`, {}, 'application/x-patch');
      expect(body).toMatchObject({ code: 415, reason: 'UnsupportedMediaType', message: '415: Unsupported Media Type' });
    });

    test('what is there already cannot be created, and what is malformed is refused', async () => {
      await place.create(place.podsPath, bare('one'));
      expect((await place.send('POST', place.podsPath, bare('one'))).body).toMatchObject({
        code: 409,
        reason: 'AlreadyExists',
        message: 'pods "one" already exists',
      });
      expect((await place.send('POST', place.podsPath, bare('No_Name'))).body).toMatchObject({ code: 422, reason: 'Invalid' });
      expect((await place.send('POST', '/api/v1/namespaces/nowhere/pods', bare('one'))).body).toMatchObject({
        code: 404,
        message: 'namespaces "nowhere" not found',
      });
    });

    test('a deletion whose preconditions do not hold is refused with 409', async () => {
      const pod = await place.barePod('one');
      const { body } = await place.send('DELETE', `${place.podsPath}/one`, { preconditions: { uid: 'another' } });
      expect(body).toMatchObject({ code: 409, reason: 'Conflict' });
      expect(body.message).toContain(
        `the UID in the precondition (another) does not match the UID in record (${pod.metadata.uid}). ` +
          'The object might have been deleted and then recreated',
      );
      expect((await place.pod('one'))?.metadata.deletionTimestamp).toBeUndefined();
    });

    test('a pod that is deleted is marked, keeps its UID, and is gone when it has ended', async () => {
      const pod = await place.barePod('one', { shutdownSeconds: 1 });
      const { status, body } = await place.send('DELETE', `${place.podsPath}/one`);
      expect([status, body.kind]).toEqual([200, 'Pod']);
      expect(body.metadata).toMatchObject({ uid: pod.metadata.uid, deletionTimestamp: expect.any(String), deletionGracePeriodSeconds: 30 });
      await until('the pod to go', async () => (await place.pod('one')) === undefined);
    });

    test('a pod that is deleted without grace is gone at once', async () => {
      await place.barePod('one', { shutdownSeconds: never });
      await place.send('DELETE', `${place.podsPath}/one`, { gracePeriodSeconds: 0 });
      expect(await place.pod('one')).toBeUndefined();
    });

    test('a dry run changes nothing', async () => {
      const name = await firstNode();
      const before = (await node(name)).metadata.resourceVersion;
      const answers = await Promise.all([
        place.send('DELETE', `/api/v1/nodes/${name}?dryRun=All`),
        place.send('PATCH', `/api/v1/nodes/${name}?dryRun=All`, { spec: { unschedulable: true } }, mergePatch),
        place.send('POST', '/api/v1/namespaces?dryRun=All', { metadata: { name: 'ghost' } }),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 201]);
      expect(answers[1]?.body.spec).toMatchObject({ unschedulable: true });
      expect((await node(name)).spec).not.toHaveProperty('unschedulable');
      expect(Number((await node(name)).metadata.resourceVersion)).toBeGreaterThanOrEqual(Number(before));
      expect((await place.send('GET', '/api/v1/namespaces/ghost')).status).toBe(404);
    });

    test('a dry run for nothing but All is refused', async () => {
      const { body } = await place.send('POST', '/api/v1/namespaces?dryRun=Some', { metadata: { name: 'ghost' } });
      expect(body).toMatchObject({
        code: 422,
        reason: 'Invalid',
        message: 'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"',
      });
    });

    test('a change of the spec counts in the generation, one of the status does not', async () => {
      await place.workload('web', 1);
      const budget = await place.budget('web', { minAvailable: 1 });
      expect(budget.observedGeneration).toBe(1);
      const { body } = await place.send('PATCH', place.budgetPath('web'), { spec: { minAvailable: 0 } }, mergePatch);
      expect(body.metadata).toMatchObject({ generation: 2 });
      await place.budgetWhen('web', ({ disruptionsAllowed }) => disruptionsAllowed === 1);
      expect((await place.send('GET', place.budgetPath('web'))).body.metadata).toMatchObject({ generation: 2 });
    });

    test('a deployment that is deleted takes its replica sets and pods with it', async () => {
      await place.workload('web', 2);
      await place.send('DELETE', place.workloadPath('web'));
      await place.podsWhen('no pods', 'web', (seen) => seen.length === 0);
    });

    test('the scale of a workload is read and written by itself', async () => {
      await place.workload('web', 1);
      const { body } = await place.send('PATCH', `${place.workloadPath('web')}/scale`, { spec: { replicas: 3 } }, mergePatch);
      expect(body).toMatchObject({ kind: 'Scale', apiVersion: 'autoscaling/v1', spec: { replicas: 3 } });
      await place.podsWhen('three pods', 'web', (seen) => seen.length === 3);
    });
  });

  test('who may do everything is told so', async () => {
    const spec = { resourceAttributes: { verb: 'create', resource: 'pods', subresource: 'eviction', namespace: place.namespace } };
    const review = { kind: 'SelfSubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', spec };
    const { status, body } = await place.send('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review);
    expect(status).toBe(201);
    expect(body).toMatchObject({ kind: 'SelfSubjectAccessReview', spec, status: { allowed: true } });
  });
}

const never = 36_000;

function bare(name: string): object {
  return { metadata: { name, labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'registry.example.com/main:1' }] } };
}
