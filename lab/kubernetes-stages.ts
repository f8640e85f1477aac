/**
 * How long a pod takes from its start until it is Ready, and from its deletion until it has ended (never longer than its grace
 * period), in seconds that may have decimals. The sandbox heeds the same annotations, so that one manifest serves both.
 */
export const readinessAnnotation = 'sandbox.holdpoint.dev/readiness-seconds';
export const shutdownAnnotation = 'sandbox.holdpoint.dev/shutdown-seconds';
/** For how long a pod that is not to be restarted runs, from being Ready, before it succeeds; without it, it runs on. */
export const runtimeAnnotation = 'sandbox.holdpoint.dev/runtime-seconds';
/** How long a node takes from its creation until it is Ready, in seconds. */
export const bootAnnotation = 'sandbox.holdpoint.dev/boot-seconds';

/** What pods and nodes take where they do not say so, in seconds. */
const defaults = { readiness: '1', shutdown: '1', boot: '0' } as const;

const nodeHeartbeatPeriodMs = 600_000;
const graceDefaultSeconds = 30;
/** kwok's own four at a time would keep hundreds of pods waiting for each other. */
const playedAtOnceMax = 32;

/** The kwok stages that play kubelet for every node and pod, as the text of a kwok configuration file. */
export function kwokStages(): string {
  const stages = [nodeBoots(), nodeLives(), podStarts(), podBecomesReady(), podSucceeds(), podFails(), podEnds()];
  // A configuration takes the place of all of kwok's defaults, so it must name each number that may not be 0.
  const options = {
    podPlayStageParallelism: playedAtOnceMax,
    nodePlayStageParallelism: playedAtOnceMax,
    nodeLeaseParallelism: 4,
    podsOnNodeSyncParallelism: 1,
    enablePodsOnNodeSyncListPager: true,
  };
  const documents = [
    { apiVersion: 'config.kwok.x-k8s.io/v1alpha1', kind: 'KwokConfiguration', metadata: { name: 'kwok' }, options },
    ...stages.map((stage) => ({ apiVersion: 'kwok.x-k8s.io/v1alpha1', kind: 'Stage', ...stage })),
  ];
  return documents.map((document) => JSON.stringify(document, null, 2)).join('\n---\n');
}

interface Stage {
  metadata: { name: string };
  spec: object;
}

const isReady = '.status.conditions.[] | select( .type == "Ready" ) | .status';
const seconds = (annotation: string, otherwise: string): string => `(.metadata.annotations["${annotation}"] // "${otherwise}")`;

function stage(name: string, kind: 'Node' | 'Pod', matchExpressions: object[], delay: object, next: object): Stage {
  return { metadata: { name }, spec: { resourceRef: { apiGroup: 'v1', kind }, selector: { matchExpressions }, delay, next } };
}

function after(expression: string): object {
  return { durationMilliseconds: 1000, durationFrom: { expressionFrom: expression } };
}

function nodeBoots(): Stage {
  const status = `
{{ $now := Now }}
{{ $info := .status.nodeInfo }}
conditions:
{{ range NodeConditions }}
- { lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }}, message: {{ .message | Quote }},
    reason: {{ .reason | Quote }}, status: {{ .status | Quote }}, type: {{ .type | Quote }} }
{{ end }}
addresses:
{{ with .status.addresses }}
{{ YAML . 1 }}
{{ else }}
- { address: {{ NodeIP | Quote }}, type: InternalIP }
- { address: {{ NodeName | Quote }}, type: Hostname }
{{ end }}
allocatable:
{{ with .status.allocatable }}
{{ YAML . 1 }}
{{ else }}
  { cpu: "4", memory: 16Gi, pods: "110" }
{{ end }}
capacity:
{{ with .status.capacity }}
{{ YAML . 1 }}
{{ else }}
  { cpu: "4", memory: 16Gi, pods: "110" }
{{ end }}
nodeInfo:
  architecture: {{ or $info.architecture "amd64" }}
  bootID: {{ or $info.bootID \`""\` }}
  containerRuntimeVersion: {{ or $info.containerRuntimeVersion "kwok" }}
  kernelVersion: {{ or $info.kernelVersion "kwok" }}
  kubeProxyVersion: {{ or $info.kubeProxyVersion \`""\` }}
  kubeletVersion: {{ or $info.kubeletVersion "kwok" }}
  machineID: {{ or $info.machineID \`""\` }}
  operatingSystem: {{ or $info.operatingSystem "linux" }}
  osImage: {{ or $info.osImage \`""\` }}
  systemUUID: {{ or $info.systemUUID \`""\` }}
phase: Running
`;
  const notReady = { key: isReady, operator: 'NotIn', values: ['True'] };
  return stage('node-boots', 'Node', [notReady], after(`${seconds(bootAnnotation, defaults.boot)} + "s"`), { statusTemplate: status });
}

/** The lease of the node, which kwok renews by itself, tells that it lives; its conditions are only refreshed now and then. */
function nodeLives(): Stage {
  const status = `
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- { lastHeartbeatTime: {{ $now | Quote }}, message: {{ .message | Quote }}, reason: {{ .reason | Quote }},
    status: {{ .status | Quote }}, type: {{ .type | Quote }} }
{{ end }}
`;
  const ready = { key: isReady, operator: 'In', values: ['True'] };
  return stage('node-lives', 'Node', [ready], { durationMilliseconds: nodeHeartbeatPeriodMs }, { statusTemplate: status });
}

const podStays = { key: '.metadata.deletionTimestamp', operator: 'DoesNotExist' };

function containers(ready: boolean): string {
  return `
containerStatuses:
{{ range .spec.containers }}
- { image: {{ .image | Quote }}, imageID: "", name: {{ .name | Quote }}, ready: ${ready}, started: ${ready}, restartCount: 0,
    state: { running: { startedAt: {{ $now | Quote }} } } }
{{ end }}
`;
}

function conditions(ready: boolean): string {
  const status = ready ? 'status: "True"' : 'status: "False", reason: ContainersNotReady';
  return `
- { lastTransitionTime: {{ $now | Quote }}, ${status}, type: Ready }
- { lastTransitionTime: {{ $now | Quote }}, ${status}, type: ContainersReady }
`;
}

function podStarts(): Stage {
  const status = `
{{ $now := Now }}
conditions:
- { lastTransitionTime: {{ $now | Quote }}, status: "True", type: PodReadyToStartContainers }
- { lastTransitionTime: {{ $now | Quote }}, status: "True", type: Initialized }
${conditions(false)}
${containers(false)}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
{{ $pod := .metadata }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) $pod.uid $pod.name $pod.namespace | Quote }}
phase: Running
startTime: {{ $now | Quote }}
`;
  const pending = { key: '.status.phase', operator: 'In', values: ['Pending'] };
  return stage('pod-starts', 'Pod', [podStays, pending], { durationMilliseconds: 0 }, { statusTemplate: status });
}

function podBecomesReady(): Stage {
  const status = `
{{ $now := Now }}
conditions:
${conditions(true)}
${containers(true)}
`;
  const running = { key: '.status.phase', operator: 'In', values: ['Running'] };
  const notReady = { key: isReady, operator: 'NotIn', values: ['True'] };
  const delay = after(`${seconds(readinessAnnotation, defaults.readiness)} + "s"`);
  return stage('pod-becomes-ready', 'Pod', [podStays, running, notReady], delay, { statusTemplate: status });
}

function ended(phase: 'Succeeded' | 'Failed', exitCode: number): string {
  const reason = phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed';
  return `
{{ $now := Now }}
conditions:
- { lastTransitionTime: {{ $now | Quote }}, status: "False", reason: ${reason}, type: Ready }
- { lastTransitionTime: {{ $now | Quote }}, status: "False", reason: ${reason}, type: ContainersReady }
containerStatuses:
{{ range .spec.containers }}
- { image: {{ .image | Quote }}, imageID: "", name: {{ .name | Quote }}, ready: false, started: false, restartCount: 0,
    state: { terminated: { exitCode: ${exitCode}, finishedAt: {{ $now | Quote }} } } }
{{ end }}
phase: ${phase}
`;
}

const endsByItself = { key: '.spec.restartPolicy', operator: 'In', values: ['Never'] };

function podSucceeds(): Stage {
  const running = { key: '.status.phase', operator: 'In', values: ['Running'] };
  const ready = { key: isReady, operator: 'In', values: ['True'] };
  const limited = { key: `.metadata.annotations["${runtimeAnnotation}"]`, operator: 'Exists' };
  const delay = after(`${seconds(runtimeAnnotation, '0')} + "s"`);
  const matches = [podStays, running, ready, endsByItself, limited];
  return stage('pod-succeeds', 'Pod', matches, delay, { statusTemplate: ended('Succeeded', 0) });
}

/** The pod of a Job, which is held until its end has been counted, has failed when it is told to end before it has succeeded. */
function podFails(): Stage {
  const going = { key: '.metadata.deletionTimestamp', operator: 'Exists' };
  const held = { key: '.metadata.finalizers', operator: 'Exists' };
  const running = { key: '.status.phase', operator: 'In', values: ['Pending', 'Running'] };
  return stage('pod-fails', 'Pod', [going, held, running, endsByItself], shutdownDelay(), { statusTemplate: ended('Failed', 143) });
}

/** The containers end by themselves, or are ended when their grace is over; a finalizer holds the pod longer. */
function podEnds(): Stage {
  const going = { key: '.metadata.deletionTimestamp', operator: 'Exists' };
  const free = { key: '.metadata.finalizers', operator: 'DoesNotExist' };
  return stage('pod-ends', 'Pod', [going, free], shutdownDelay(), { delete: true });
}

function shutdownDelay(): object {
  const own = `(${seconds(shutdownAnnotation, defaults.shutdown)} | tonumber)`;
  const grace = `(.metadata.deletionGracePeriodSeconds // ${graceDefaultSeconds})`;
  return after(`([${own}, ${grace}] | min | tostring) + "s"`);
}
