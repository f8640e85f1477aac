import type { Controller, ControllerContext } from '../controller.ts';
import { sameJson } from '../json.ts';
import { hasEnded, isReady, keyOf } from '../objects.ts';
import type { Endpoint, EndpointSlice, Pod, Service, ServicePort } from '../objects.ts';
import { matchesSelector } from '../selectors.ts';
import type { Actor, Change } from '../store.ts';

/** How many endpoints one slice takes (`--max-endpoints-per-slice`). */
const endpointsMax = 100;

const zoneLabel = 'topology.kubernetes.io/zone';
const actor: Actor = { part: 'controller', name: 'endpointslice-controller', verb: 'update' };

/** Tells in EndpointSlices which pods stand behind each Service, and whether they are ready, serve and are on their way out. */
export function createEndpointSliceController(context: ControllerContext): Controller {
  const { store } = context;
  return {
    name: 'endpoint-slices',
    onChange: ({ resource, object, previous }: Change) => {
      if (resource === 'services') return [keyOf(object)];
      if (resource !== 'pods') return [];
      const selects = ({ spec }: Service, labels: Record<string, string> | undefined): boolean =>
        spec.selector !== undefined && matchesSelector({ matchLabels: spec.selector }, labels);
      return store
        .inNamespace('services', object.metadata.namespace ?? '')
        .filter((service) => selects(service, object.metadata.labels) || (previous && selects(service, previous.metadata.labels)))
        .map(keyOf);
    },
    reconcile: (key) => {
      const service = store.getByKey('services', key);
      if (service?.spec.selector !== undefined && service.metadata.deletionTimestamp === undefined) reconcile(context, service);
    },
  };
}

function reconcile(context: ControllerContext, service: Service): void {
  const { store } = context;
  const pods = store
    .podsWithLabels(service.metadata.namespace ?? '', service.spec.selector ?? {})
    .filter((pod) => !hasEnded(pod) && pod.status.podIP !== undefined);
  const wanted = new Map(pods.map((pod) => [pod.metadata.uid, endpointOf(context, service, pod)]));
  const ports = (service.spec.ports ?? []).map((port) => slicePort(port, pods[0]));
  const slices = store.ownedBy('endpointslices', service.metadata.uid);
  // Each endpoint stays in the slice where it is; what is new fills up what has room.
  const kept = slices.map(({ endpoints }) =>
    endpoints.flatMap(({ targetRef: { uid } }) => {
      const endpoint = wanted.get(uid);
      wanted.delete(uid);
      return endpoint ? [endpoint] : [];
    }),
  );
  const fresh = [...wanted.values()];
  for (const [index, slice] of slices.entries()) {
    const endpoints = kept[index] ?? [];
    endpoints.push(...fresh.splice(0, Math.max(0, endpointsMax - endpoints.length)));
    if (endpoints.length === 0 && index > 0) store.remove('endpointslices', keyOf(slice), { ...actor, verb: 'delete' });
    else if (!sameJson(endpoints, slice.endpoints) || !sameJson(ports, slice.ports)) {
      store.update('endpointslices', keyOf(slice), actor, (draft) => Object.assign(draft, { endpoints, ports }));
    }
  }
  if (slices.length === 0) create(context, service, fresh.splice(0, endpointsMax), ports);
  while (fresh.length > 0) create(context, service, fresh.splice(0, endpointsMax), ports);
}

function create({ store, random }: ControllerContext, service: Service, endpoints: Endpoint[], ports: EndpointSlice['ports']): void {
  const { name, namespace, uid } = service.metadata;
  const labels = { 'kubernetes.io/service-name': name, 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' };
  const owner = { apiVersion: 'v1', kind: 'Service', name, uid, controller: true, blockOwnerDeletion: true };
  const metadata = { name: `${name}-${random.text(5)}`, generateName: `${name}-`, namespace, labels, ownerReferences: [owner] };
  const slice = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata, addressType: 'IPv4', endpoints, ports } as const;
  store.create('endpointslices', slice, { ...actor, verb: 'create' });
}

/** A pod that is on its way out may still serve; it is ready for nobody who is not told to send to such pods. */
function endpointOf({ store }: ControllerContext, service: Service, pod: Pod): Endpoint {
  const serving = isReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
  const { namespace = '', name, uid } = pod.metadata;
  const zone = store.get('nodes', '', pod.spec.nodeName ?? '')?.metadata.labels?.[zoneLabel];
  return {
    addresses: [pod.status.podIP ?? ''],
    conditions: { ready, serving, terminating },
    nodeName: pod.spec.nodeName,
    ...(zone === undefined ? {} : { zone }),
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
}

function slicePort({ name = '', port, targetPort, protocol = 'TCP' }: ServicePort, pod: Pod | undefined): EndpointSlice['ports'][number] {
  if (typeof targetPort === 'number') return { name, port: targetPort, protocol };
  const named = pod?.spec.containers.flatMap(({ ports = [] }) => ports).find((one) => one.name === targetPort);
  return { name, port: named?.containerPort ?? port, protocol };
}
