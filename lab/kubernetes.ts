import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kubeconfigOf, requester, type KubernetesAccess, type KubernetesRequest } from './kubernetes-access.ts';
import type { KubernetesBinaries } from './kubernetes-binaries.ts';
import { kwokStages } from './kubernetes-stages.ts';
import { startProcess, type ProcessOptions, type RunningProcess } from './process.ts';
import { reasonOf } from './reason.ts';
import { freePort } from './temporal.ts';

/** A real Kubernetes control plane whose nodes are played by kwok. It ends with this process, however that ends. */
export interface ControlPlane extends KubernetesAccess {
  /** A file for kubectl and other clients, readable by this user only. */
  kubeconfig: string;
  /** Where it keeps keys, tokens and data; removed by `stop`. */
  directory: string;
  /** Base URL of etcd's client face. */
  etcd: string;
  processes: readonly { name: string; pid: number }[];
  request: KubernetesRequest;
  /** Resolves when one of its programs has ended by itself, with a sentence on which and how. */
  broken: Promise<string>;
  /** Ends every program and removes the directory. Its data are for one occasion, so nothing is saved. */
  stop(): Promise<void>;
}

export interface ControlPlaneOptions {
  binaries: KubernetesBinaries;
  /** Ends the start; what has been started by then is stopped. */
  signal?: AbortSignal;
  /** Controllers to run instead of the ones that maintenance meets, in the notation of kube-controller-manager. */
  controllers?: readonly string[];
}

/**
 * The controllers that maintenance meets: those that make, count, spread, taint, lose and clean up pods and tie volumes to nodes.
 * Leaving out the others (certificates, quotas, service accounts, …) spares memory of the controller manager, and their work.
 */
const controllersRun = [
  'daemonset-controller',
  'deployment-controller',
  'disruption-controller',
  'endpointslice-controller',
  'garbage-collector-controller',
  'job-controller',
  'namespace-controller',
  'node-lifecycle-controller',
  'persistentvolume-attach-detach-controller',
  'persistentvolume-binder-controller',
  'persistentvolume-protection-controller',
  'persistentvolumeclaim-protection-controller',
  'pod-garbage-collector-controller',
  'replicaset-controller',
  'statefulset-controller',
  'taint-eviction-controller',
] as const;

const loopback = '127.0.0.1';
const startAttemptsMax = 3;
const probeTimeoutMs = 2_000;
const podAddresses = '10.128.0.0/9';
const serviceAddresses = '10.0.0.0/16';
const nodeAddress = '10.127.0.1';
const nodeLeaseSeconds = 40;
const privateMode = 0o600;
/** The controllers' own default of 20 requests a second would take a minute to bring 1,000 pods up. */
const requestsPerSecond = 200;

interface Ports {
  etcd: number;
  etcdPeer: number;
  server: number;
  controllers: number;
  scheduler: number;
  kwok: number;
}

/** What the programs of one control plane share. */
interface Site {
  binaries: KubernetesBinaries;
  directory: string;
  ports: Ports;
  controllers: readonly string[];
}

/**
 * Starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok on free ports of 127.0.0.1, with keys and a token
 * made for the occasion in a private directory, and resolves when all of them serve. Several can run side by side.
 * Throws an Error with the last lines of the program that did not come up; nothing is left then.
 */
export async function startControlPlane({ binaries, signal, controllers = controllersRun }: ControlPlaneOptions): Promise<ControlPlane> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    // mkdtemp gives a directory that only this user may enter.
    const directory = await mkdtemp(join(tmpdir(), 'holdpoint-lab-'));
    const started: StartedProgram[] = [];
    try {
      return await startPrograms({ binaries, directory, ports: await freePorts(), controllers }, started, signal);
    } catch (error) {
      await stopAll(started, directory);
      signal?.throwIfAborted();
      // Somebody else took the port between our look and the program's start.
      if (attempt === startAttemptsMax || !/address already in use/i.test(reasonOf(error))) throw error;
    }
  }
}

interface StartedProgram {
  name: string;
  process: RunningProcess;
}

async function startPrograms(site: Site, started: StartedProgram[], signal: AbortSignal | undefined): Promise<ControlPlane> {
  const { directory, ports } = site;
  const start = async (name: string, options: Omit<ProcessOptions, 'name'>): Promise<void> => {
    const process = await startProcess({ name, ...options });
    started.push({ name, process });
    signal?.throwIfAborted();
  };
  const token = randomBytes(32).toString('hex');
  const serviceAccountKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'sec1', format: 'pem' });
  await writeFile(join(directory, 'service-accounts.key'), serviceAccountKey, { mode: privateMode });
  await writeFile(join(directory, 'tokens.csv'), `${token},holdpoint-lab,holdpoint-lab,system:masters\n`, { mode: privateMode });
  await writeFile(join(directory, 'stages.yaml'), kwokStages(), { mode: privateMode });
  await mkdir(join(directory, 'certificates'), { mode: 0o700 });
  await start('etcd', etcd(site));
  await start('kube-apiserver', apiServer(site, token));
  const server = `https://${loopback}:${ports.server}`;
  // The API server has made itself a certificate and put the one of its authority behind it.
  const certificateAuthority = await readFile(join(directory, 'certificates', 'apiserver.crt'), 'utf8');
  const access: KubernetesAccess = { server, certificateAuthority, token };
  const kubeconfig = kubeconfigPath(site);
  await writeFile(kubeconfig, kubeconfigOf(access), { mode: privateMode });
  const others = [
    start('kube-controller-manager', controllerManager(site)),
    start('kube-scheduler', scheduler(site)),
    start('kwok', kwok(site)),
  ];
  // Whatever else came up must be known before it is stopped.
  await Promise.allSettled(others);
  await Promise.all(others);
  const broken = Promise.race(started.map(({ name, process }) => process.ended.then((how) => `${name} ${how}.\n${process.output()}`)));
  return {
    ...access,
    kubeconfig,
    directory,
    etcd: `http://${loopback}:${ports.etcd}`,
    processes: started.map(({ name, process }) => ({ name, pid: process.pid })),
    request: requester(access),
    broken,
    stop: () => stopAll(started, directory),
  };
}

async function stopAll(started: StartedProgram[], directory: string): Promise<void> {
  await Promise.all(started.splice(0).map(({ process }) => process.kill()));
  await rm(directory, { recursive: true, force: true });
}

function kubeconfigPath({ directory }: Site): string {
  return join(directory, 'kubeconfig');
}

function etcd({ binaries, directory, ports }: Site): Omit<ProcessOptions, 'name'> {
  const client = `http://${loopback}:${ports.etcd}`;
  const peer = `http://${loopback}:${ports.etcdPeer}`;
  return {
    command: binaries.etcd,
    args: [
      `--data-dir=${join(directory, 'etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      // Nobody wants these data back after a power failure.
      '--unsafe-no-fsync',
      '--log-level=error',
    ],
    ready: () => probe(`${client}/health`),
  };
}

function apiServer({ binaries, directory, ports }: Site, token: string): Omit<ProcessOptions, 'name'> {
  const key = join(directory, 'service-accounts.key');
  return {
    command: binaries['kube-apiserver'],
    args: [
      `--etcd-servers=http://${loopback}:${ports.etcd}`,
      `--bind-address=${loopback}`,
      `--advertise-address=${loopback}`,
      `--secure-port=${ports.server}`,
      `--cert-dir=${join(directory, 'certificates')}`,
      `--token-auth-file=${join(directory, 'tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${key}`,
      `--service-account-signing-key-file=${key}`,
      `--service-cluster-ip-range=${serviceAddresses}`,
      // Pods have no service account here, since nothing in them runs.
      '--disable-admission-plugins=ServiceAccount',
      // The service in front of the server would need an address that is not loopback.
      '--endpoint-reconciler-type=none',
    ],
    ready: () => probe(`https://${loopback}:${ports.server}/readyz`, token),
  };
}

function controllerManager(site: Site): Omit<ProcessOptions, 'name'> {
  const { binaries, directory, ports, controllers } = site;
  return {
    command: binaries['kube-controller-manager'],
    args: [
      `--kubeconfig=${kubeconfigPath(site)}`,
      `--controllers=${controllers.join(',')}`,
      `--service-account-private-key-file=${join(directory, 'service-accounts.key')}`,
      '--use-service-account-credentials=false',
      '--leader-elect=false',
      `--kube-api-qps=${requestsPerSecond}`,
      `--kube-api-burst=${2 * requestsPerSecond}`,
      `--bind-address=${loopback}`,
      `--secure-port=${ports.controllers}`,
    ],
    ready: () => probe(`https://${loopback}:${ports.controllers}/healthz`),
  };
}

function scheduler(site: Site): Omit<ProcessOptions, 'name'> {
  const { binaries, ports } = site;
  return {
    command: binaries['kube-scheduler'],
    args: [
      `--kubeconfig=${kubeconfigPath(site)}`,
      '--leader-elect=false',
      `--kube-api-qps=${requestsPerSecond}`,
      `--kube-api-burst=${2 * requestsPerSecond}`,
      `--bind-address=${loopback}`,
      `--secure-port=${ports.scheduler}`,
    ],
    ready: () => probe(`https://${loopback}:${ports.scheduler}/readyz`),
  };
}

function kwok(site: Site): Omit<ProcessOptions, 'name'> {
  const { binaries, directory, ports } = site;
  return {
    command: binaries.kwok,
    args: [
      `--kubeconfig=${kubeconfigPath(site)}`,
      `--config=${join(directory, 'stages.yaml')}`,
      '--manage-all-nodes=true',
      `--node-lease-duration-seconds=${nodeLeaseSeconds}`,
      `--node-ip=${nodeAddress}`,
      `--cidr=${podAddresses}`,
      `--server-address=${loopback}:${ports.kwok}`,
    ],
    // It would take the configuration of the user's own kwok as well.
    env: { ...process.env, KWOK_WORKDIR: directory },
    ready: () => probe(`http://${loopback}:${ports.kwok}/healthz`),
  };
}

async function freePorts(): Promise<Ports> {
  const ports = await Promise.all(Array.from({ length: 6 }, () => freePort()));
  const [etcd = 0, etcdPeer = 0, server = 0, controllers = 0, scheduler = 0, kwok = 0] = ports;
  return { etcd, etcdPeer, server, controllers, scheduler, kwok };
}

/** Throws unless the answer is a success. Who answers is not verified: it is a program that we have just started. */
async function probe(url: string, token?: string): Promise<void> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const status = await new Promise<number>((resolve, reject) => {
    const send = url.startsWith('https:') ? secureRequest : plainRequest;
    const sent = send(url, { headers, timeout: probeTimeoutMs, rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${probeTimeoutMs / 1000} s`)));
    sent.on('error', reject);
    sent.end();
  });
  if (status !== 200) throw new Error(`${url} answers ${status}`);
}
