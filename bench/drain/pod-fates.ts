import { createServer } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { readinessAnnotation, shutdownAnnotation } from '../../lab/kubernetes-stages.ts';
import type { Certificate } from './certificate.ts';
import { namespace, type Fates } from './scenarios.ts';

/** Gives every pod that is created what is to become of it. */
export interface PodFates {
  /** From here on pods get these, from the first one on. */
  begin(fates: ReadonlyMap<string, Fates>): void;
  stop(): Promise<void>;
}

/** The label of the pod that somebody has to make Ready. */
export const readiedLabel = 'readied';

interface PodReview {
  request: { uid: string; object: { metadata: { labels?: Record<string, string>; name?: string } } };
}

/** Pods that are there from the start are Ready soon, so that a turn need not wait for them. */
const firstReadinessSeconds = 0.2;
const neverSeconds = 36_000;

/**
 * Registers an admission webhook, on a free port of 127.0.0.1, that puts the pods of the namespace on the nodes that the scenario
 * has for them and says how long they take to be Ready and to end: controllers name and place pods by chance, and no two
 * contenders would have the same work. Pods that come later are placed by the scheduler.
 */
export async function startPodFates(send: KubernetesRequest, certificate: Certificate): Promise<PodFates> {
  let fates: ReadonlyMap<string, Fates> = new Map();
  const created = new Map<string, number>();
  const server = createServer(certificate, (request, response) => {
    void readReview(request).then(({ request: { uid, object } }) => {
      const app = object.metadata.labels?.app ?? '';
      const patch = patchFor(fates.get(app), count(created, app), object.metadata.labels ?? {});
      const encoded = Buffer.from(JSON.stringify(patch)).toString('base64');
      const answer = { uid, allowed: true, patchType: 'JSONPatch', patch: encoded };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const configuration = webhookConfiguration(`https://127.0.0.1:${port}/pods`, certificate.cert);
  const { status, text } = await send('POST', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', configuration);
  if (status !== 201) throw new Error(`The webhook was not registered: ${text}`);
  return {
    begin: (next) => {
      fates = next;
      created.clear();
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** How many there have been before this one. */
function count(created: Map<string, number>, app: string): number {
  const before = created.get(app) ?? 0;
  created.set(app, before + 1);
  return before;
}

async function readReview(request: IncomingMessage): Promise<PodReview> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as PodReview;
}

function patchFor(fates: Fates | undefined, number: number, labels: Record<string, string>): object[] {
  if (!fates) return [];
  const first = fates.first[number];
  const later = number - fates.first.length;
  const readiness = first
    ? first.isReadied
      ? neverSeconds
      : firstReadinessSeconds
    : (fates.readinessSeconds[later % fates.readinessSeconds.length] ?? firstReadinessSeconds);
  const annotations = { [readinessAnnotation]: String(readiness), [shutdownAnnotation]: String(first?.shutdownSeconds ?? 1) };
  const set = (path: string, value: unknown): object => ({ op: 'add', path, value });
  return [
    set('/metadata/annotations', annotations),
    ...(first ? [set('/spec/nodeName', first.node)] : []),
    ...(first?.isReadied ? [set('/metadata/labels', { ...labels, [readiedLabel]: 'true' })] : []),
  ];
}

function webhookConfiguration(url: string, authority: string): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'pod-fates' },
    webhooks: [
      {
        name: 'pod-fates.holdpoint.dev',
        clientConfig: { url, caBundle: Buffer.from(authority).toString('base64') },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        timeoutSeconds: 10,
      },
    ],
  };
}
