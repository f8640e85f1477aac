import { mayHoldData } from '../drain/host-paths.ts';
import { defineCheck, isSystemNamespace, objectText, type Check, type Found } from './finding.ts';
import { shellProblem } from './shell.ts';
import type { WorkloadView } from './snapshot.ts';

/** Kinds whose pods serve, and have replicas. */
const replicatedKinds = ['Deployment', 'StatefulSet', 'ReplicaSet', 'ReplicationController'];
const dockerSockets = ['/var/run/docker.sock', '/run/docker.sock'];
const bestPractices = 'https://docs.aws.amazon.com/eks/latest/best-practices/application.html';
const podDocs = 'https://kubernetes.io/docs/concepts/workloads/pods';

const singleReplica = defineCheck({
  name: 'single-replica',
  title: 'A workload has a single replica: it is down while its pod moves',
  severity: 'warning',
  source: bestPractices,
  reads: ['workloads'],
  find: ({ workloads }) =>
    serving(workloads)
      .filter(({ replicas }) => replicas === 1)
      .map((workload) => warn(workload, 'It has 1 replica, so it is down while its pod moves.', 'Run 2 replicas or more, or accept it.')),
});

const barePod = defineCheck({
  name: 'bare-pod',
  title: 'A pod that no controller brings back',
  severity: 'warning',
  source: `${podDocs}/#pods-and-controllers`,
  reads: ['workloads'],
  find: ({ workloads }) =>
    workloads
      .filter(({ kind, isOwned, namespace }) => kind === 'Pod' && !isOwned && !isSystemNamespace(namespace))
      .map((workload) => warn(workload, 'No controller brings it back when its node goes.', 'Have a Deployment or a Job make it.')),
});

const readiness = defineCheck({
  name: 'readiness-probe',
  title: 'A workload has a container without a readiness probe',
  severity: 'warning',
  source: `${podDocs}/pod-lifecycle/#container-probes`,
  reads: ['workloads'],
  find: ({ workloads }) =>
    serving(workloads).flatMap((workload) => {
      const { containers } = workload;
      // One that can be connected to; where none says so, any of them may be meant.
      const served = containers.some(({ hasPorts }) => hasPorts) ? containers.filter(({ hasPorts }) => hasPorts) : containers;
      const bare = served.filter(({ hasReadinessProbe }) => !hasReadinessProbe).map(({ name }) => name);
      const isBare = served.some(({ hasPorts }) => hasPorts) ? bare.length > 0 : bare.length === containers.length;
      if (!isBare) return [];
      const why = `No readiness probe: ${bare.join(', ')}. It counts as ready before it serves, and drains go on too early.`;
      return [warn(workload, why, 'Give it a readiness probe.')];
    }),
});

const spread = defineCheck({
  name: 'spread',
  title: 'A workload with replicas has neither spread constraints nor anti-affinity',
  severity: 'warning',
  source: 'https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/',
  reads: ['workloads'],
  find: ({ workloads }) =>
    serving(workloads)
      .filter(({ replicas = 0, isSpread }) => replicas > 1 && !isSpread)
      .map((workload) =>
        warn(workload, 'Nothing keeps its pods apart: one node may hold all of them.', 'Give it topologySpreadConstraints over nodes.'),
      ),
});

const minReady = defineCheck({
  name: 'min-ready-seconds',
  title: 'A StatefulSet or a Deployment has minReadySeconds 0',
  severity: 'note',
  source: 'https://kubernetes.io/blog/2021/08/27/minreadyseconds-statefulsets/',
  reads: ['workloads'],
  find: ({ workloads }) =>
    serving(workloads)
      .filter(({ replicas = 0, minReadySeconds }) => replicas > 0 && minReadySeconds === 0)
      .map((workload) => ({
        ...warn(workload, 'A pod counts as available the moment it is Ready (minReadySeconds 0).', 'Set minReadySeconds.'),
        severity: 'note' as const,
      })),
});

const grace = defineCheck({
  name: 'grace-period-0',
  title: 'terminationGracePeriodSeconds is 0: pods are killed at once',
  severity: 'error for StatefulSets, else warning',
  source: 'https://kubernetes.io/docs/tasks/run-application/force-delete-stateful-set-pod/',
  reads: ['workloads'],
  find: ({ workloads }) =>
    workloads
      .filter(({ graceSeconds }) => graceSeconds === 0)
      .map((workload) => ({
        ...warn(
          workload,
          'terminationGracePeriodSeconds is 0: its pods are killed at once, and a StatefulSet may run the same pod twice.',
          'Set it to as long as the pod needs to end, or leave it out (30 s).',
        ),
        severity: workload.kind === 'StatefulSet' ? ('error' as const) : ('warning' as const),
      })),
});

const dockerSocket = defineCheck({
  name: 'docker-socket',
  title: 'Pods mount the socket of Docker, which nodes from 1.24 on do not have',
  severity: 'error',
  source: 'https://kubernetes.io/blog/2022/02/17/dockershim-faq/',
  reads: ['workloads'],
  find: ({ workloads }) =>
    workloads
      .filter(({ volumes }) => volumes.some((volume) => 'hostPath' in volume && dockerSockets.includes(volume.hostPath)))
      .map((workload) => ({
        ...warn(workload, 'It mounts the socket of Docker, which is not there on new nodes.', 'Use the API of containerd, or do without.'),
        severity: 'error' as const,
      })),
});

const hostPath = defineCheck({
  name: 'host-path-data',
  title: 'Pods keep data in a directory of their node (hostPath), which stays behind',
  severity: 'warning',
  source: 'https://kubernetes.io/docs/concepts/storage/volumes/#hostpath',
  reads: ['workloads'],
  find: ({ workloads }) =>
    workloads
      .filter(({ kind, namespace }) => kind !== 'DaemonSet' && !isSystemNamespace(namespace))
      .flatMap((workload) => {
        const paths = workload.volumes.flatMap((volume) => ('hostPath' in volume && isData(volume.hostPath) ? volume.hostPath : []));
        if (paths.length === 0) return [];
        const why = `It keeps ${paths.join(', ')} of its node: what is in there does not go along.`;
        return [warn(workload, why, 'Move the data to a persistent volume, or copy it by hand.')];
      }),
});

const inTreeVolume = defineCheck({
  name: 'in-tree-volume',
  title: 'Pods, persistent volumes or storage classes name a volume driver inside Kubernetes',
  severity: 'error for drivers that are gone, else warning',
  source: 'https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi-migration-faq.html',
  reads: ['workloads', 'storage'],
  find: ({ workloads, storage }) => [
    ...storage.map((one) => inTreeFound(objectText(one), one.driver)),
    ...workloads.flatMap((workload) =>
      workload.volumes.flatMap((volume) => ('inTree' in volume ? [inTreeFound(objectText(workload), volume.inTree)] : [])),
    ),
  ],
});

const shell = defineCheck({
  name: 'shell-main-process',
  title: 'A shell is the main process, so SIGTERM does not come through to the program',
  severity: 'warning',
  source: `${podDocs}/pod-lifecycle/#pod-termination`,
  reads: ['workloads'],
  find: ({ workloads }) =>
    workloads
      .filter(({ kind }) => kind !== 'Job' && kind !== 'CronJob')
      .flatMap((workload) => {
        const names = workload.containers.filter(({ command }) => shellProblem(command)).map(({ name }) => name);
        if (names.length === 0) return [];
        const why = `A shell is the main process of ${names.join(', ')}: SIGTERM does not come through, and the pod is killed in the end.`;
        return [warn(workload, why, 'Start the program with `exec` in the script, or without a shell.')];
      }),
});

const ingressNginx = defineCheck({
  name: 'ingress-nginx',
  title: 'The retired Ingress NGINX controller runs',
  severity: 'warning',
  source: 'https://kubernetes.io/blog/2025/11/11/ingress-nginx-retirement/',
  reads: ['workloads'],
  find: ({ workloads }) =>
    workloads
      .filter(({ containers }) =>
        containers.some(({ image }) => /^(registry\.k8s\.io|k8s\.gcr\.io)\/ingress-nginx\/controller/.test(image)),
      )
      .map((workload) =>
        warn(workload, 'The Ingress NGINX controller is retired: nobody mends it for later versions.', 'Move to one that is maintained.'),
      ),
});

/** What workloads are like, whatever the version. */
export const workloadChecks: readonly Check[] = [
  singleReplica,
  barePod,
  readiness,
  spread,
  minReady,
  grace,
  dockerSocket,
  hostPath,
  inTreeVolume,
  shell,
  ingressNginx,
];

function serving(workloads: readonly WorkloadView[]): WorkloadView[] {
  return workloads.filter(({ kind, namespace }) => replicatedKinds.includes(kind) && !isSystemNamespace(namespace));
}

function isData(path: string): boolean {
  return !dockerSockets.includes(path) && mayHoldData(path);
}

/** Drivers inside Kubernetes that no version serves any more, by the field of a volume. */
const goneDrivers = ['glusterfs', 'cephfs', 'rbd', 'flocker', 'quobyte', 'storageos', 'scaleIO'];

function inTreeFound(object: string, driver: string): Found {
  const isGone = goneDrivers.includes(driver);
  return {
    object,
    severity: isGone ? 'error' : 'warning',
    why: isGone
      ? `It names the volume driver ${driver}, which Kubernetes does not have any more.`
      : `It names the volume driver ${driver} inside Kubernetes, whose work a CSI driver must do.`,
    remedy: 'See that the CSI driver is installed, and name that in new volumes and storage classes.',
  };
}

function warn(workload: WorkloadView, why: string, remedy: string): Found {
  return { object: objectText(workload), severity: 'warning', why, remedy };
}
