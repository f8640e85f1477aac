/**
 * What follows from an error: `retry` = it may pass by itself; `stuck` = a person must look, the run waits;
 * `refuse` = the request was wrong and nothing has been touched.
 */
export type Consequence = 'retry' | 'stuck' | 'refuse';

interface ErrorKind {
  consequence: Consequence;
  /** One sentence with `{name}` places for the details. */
  message: string;
  /** What the person can do. */
  remedy: string;
}

/** Every error that Holdpoint reports, by code. `docs/errors.md` lists the same codes. */
export const errorKinds = {
  'aws-credentials-missing': {
    consequence: 'refuse',
    message: 'The worker has no AWS credentials for {target}.',
    remedy: 'Give the worker credentials (AWS_PROFILE, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and start it again.',
  },
  'aws-denied': {
    consequence: 'stuck',
    message: 'AWS refused {call} on {target}: {cause}.',
    remedy: 'Let the role of the worker do this, or check its credentials; then try again.',
  },
  'aws-unreachable': {
    consequence: 'retry',
    message: 'AWS did not answer {call} on {target}: {cause}.',
    remedy: 'Check the network of the worker and the endpoint (AWS_ENDPOINT_URL), then try again.',
  },
  'aws-busy': {
    consequence: 'retry',
    message: 'AWS could not take {call} on {target} just now: {cause}.',
    remedy: 'Wait until the other change has ended or the throttling has passed, then try again.',
  },
  'aws-refused': {
    consequence: 'stuck',
    message: 'AWS refused {call} on {target}: {cause}.',
    remedy: 'Read the reason, put it right in AWS, then try again or abort the run.',
  },
  'cluster-unknown': {
    consequence: 'refuse',
    message: 'There is no EKS cluster {cluster} in {region}.',
    remedy: 'Check the name and the region of the target; `aws eks list-clusters --region {region}` shows what is there.',
  },
  'database-unknown': {
    consequence: 'refuse',
    message: 'There is no Aurora cluster {cluster} in {region}.',
    remedy: 'Check the name and the region of the target; `aws rds describe-db-clusters --region {region}` shows what is there.',
  },
  'target-not-configured': {
    consequence: 'refuse',
    message: 'The worker cannot reach the target {target}. {cause}',
    remedy: 'Correct the target, or the configuration of the worker.',
  },
  'nodegroup-unknown': {
    consequence: 'refuse',
    message: 'The cluster {cluster} has no node group {nodegroup}.',
    remedy: 'Check the name; `aws eks list-nodegroups --cluster-name {cluster}` shows what is there.',
  },
  'auto-scaling-group-unknown': {
    consequence: 'refuse',
    message: 'There is no Auto Scaling group {group} in {region}.',
    remedy: 'Check the name; `aws autoscaling describe-auto-scaling-groups --region {region}` shows what is there.',
  },
  'node-unknown': {
    consequence: 'refuse',
    message: 'The cluster {cluster} has no node {node}.',
    remedy: 'Check the name, and whether it has gone since; `kubectl get nodes` shows what is there.',
  },
  'no-node-selected': {
    consequence: 'refuse',
    message: 'No node of the cluster {cluster} has the labels {selector}.',
    remedy: 'Check the selector; `kubectl get nodes --show-labels` shows what there is.',
  },
  'kubeconfig-invalid': {
    consequence: 'refuse',
    message: '{file} cannot be used: {cause}.',
    remedy: 'Name another file with --kubeconfig or KUBECONFIG, or another context of it with --context.',
  },
  'kubernetes-unreachable': {
    consequence: 'retry',
    message: 'The Kubernetes API of {cluster} did not answer {call}: {cause}.',
    remedy: 'Check that the worker reaches the endpoint of the cluster, then try again.',
  },
  'kubernetes-busy': {
    consequence: 'retry',
    message: 'The Kubernetes API of {cluster} could not take {call} just now: {cause}.',
    remedy: 'Try again later. Where that goes on, find out who keeps the API server busy (API priority and fairness).',
  },
  'kubernetes-denied': {
    consequence: 'stuck',
    message: 'The Kubernetes API of {cluster} refused {call}: {cause}.',
    remedy: 'Let the user of the worker do this (RBAC; on EKS an access entry for its role), or renew its credentials; then try again.',
  },
  'kubernetes-refused': {
    consequence: 'stuck',
    message: 'The Kubernetes API of {cluster} refused {call}: {cause}.',
    remedy: 'Read the reason, put it right in the cluster, then try again or abort the run.',
  },
  'action-unknown': {
    consequence: 'refuse',
    message: 'The worker knows no action {action}.',
    remedy: 'Check its name, or start a worker of a version that has it.',
  },
  'policy-unknown': {
    consequence: 'refuse',
    message: 'The configuration of the worker has no policy {policy}.',
    remedy: 'Add it to `policies` in holdpoint.yaml, then try again.',
  },
  'calendar-unknown': {
    consequence: 'stuck',
    message: 'The configuration of the worker has no calendar {calendar}.',
    remedy: 'Add it to `calendars` in holdpoint.yaml, then try again.',
  },
  'action-input-invalid': {
    consequence: 'stuck',
    message: 'The input of {action} does not fit: {cause}.',
    remedy: 'Correct the inputs or the runbook and start a new run.',
  },
  'action-stuck': {
    consequence: 'stuck',
    message: '{cause}',
    remedy: '{remedy}',
  },
  'change-in-flight': {
    consequence: 'stuck',
    message: '{cause}',
    remedy: '{remedy}',
  },
  'plan-does-not-cover': {
    consequence: 'stuck',
    message: 'The signed plan of {action} says there is nothing to change, but the world has changed since: {cause}.',
    remedy: 'Abort the run, plan again and have the new plan signed.',
  },
  'artifact-too-large': {
    consequence: 'stuck',
    message: 'The file has more than {limit} bytes, and an artifact may not have more.',
    remedy: 'Find out why it is so large and make it smaller, then try again.',
  },
  'artifact-damaged': {
    consequence: 'stuck',
    message: 'The artifact {path} cannot be used: {cause}.',
    remedy: 'Bring it back from a backup or an earlier version, then try again.',
  },
  'artifact-unwritable': {
    consequence: 'retry',
    message: 'An artifact could not be written to {path}: {cause}.',
    remedy: 'Make room for it, or make the place writable for the worker.',
  },
  'artifact-unreadable': {
    consequence: 'retry',
    message: 'The artifact {path} could not be read: {cause}.',
    remedy: 'Make the place readable for the worker.',
  },
  'etcd-program-unusable': {
    consequence: 'stuck',
    message: '{program} cannot be used: {cause}.',
    remedy: 'Install etcdctl and etcdutl 3.6 or newer on the worker, or name their folder as `programs` in `etcd` of holdpoint.yaml.',
  },
  'etcd-unreachable': {
    consequence: 'retry',
    message: 'The member {member} of {target} did not answer {call}: {cause}.',
    remedy: 'Check `endpoints` and `tls` in holdpoint.yaml and the network of the worker, then try again.',
  },
  'snapshot-interrupted': {
    consequence: 'retry',
    message: 'The snapshot of {member} of {target} did not come to its end: {cause}.',
    remedy: 'Look at the member and at the network to it, then try again.',
  },
  'snapshot-refused': {
    consequence: 'stuck',
    message: 'The snapshot of {target} is not kept: {cause}.',
    remedy: 'Put right what the reason names, then try again; nothing was stored.',
  },
  'backup-unusable': {
    consequence: 'stuck',
    message: 'The backup {backup} cannot be used: {cause}.',
    remedy: 'Use another backup; `holdpoint backups list` shows them all.',
  },
  'member-elsewhere': {
    consequence: 'stuck',
    message: '{action} works on the machine of {place}, and this worker is {here}.',
    remedy: 'Start `holdpoint worker --member` on that machine, with the same holdpoint.yaml, and no other worker on its task queue.',
  },
  'member-command-failed': {
    consequence: 'stuck',
    message: '{command} on the machine of {place} has not done what it should: {cause}.',
    remedy: 'Look at the log of etcd on that machine; correct `start` or `stop` in holdpoint.yaml if it is wrong. Then try again.',
  },
  'restore-refused': {
    consequence: 'stuck',
    message: 'Nothing is restored on the machine of {place}: {cause}.',
    remedy: 'Put right what the reason names, on that machine; then try again.',
  },
  'object-unknown': {
    consequence: 'refuse',
    message: 'The backup {backup} has no such object {object}: {cause}.',
    remedy: 'Check type and name, and name its namespace with -n; `holdpoint backups show` lists the types.',
  },
  'backup-place-unusable': {
    consequence: 'stuck',
    message: 'The place for backups {place} cannot be used: {cause}.',
    remedy: 'Put right what the reason names, in the place itself or in holdpoint.yaml; then try again.',
  },
  'backup-place-unreachable': {
    consequence: 'retry',
    message: 'The place for backups {place} could not be reached: {cause}.',
    remedy: 'Wait; it will be tried again. If that takes long, check the network and the place.',
  },
  'backup-key-unusable': {
    consequence: 'stuck',
    message: 'The key for backups {key} cannot be used: {cause}.',
    remedy: 'Bring the key back, or let the worker use it; backups that were made with it cannot be read without it.',
  },
  'request-malformed': {
    consequence: 'refuse',
    message: 'The request cannot be understood: {cause}.',
    remedy: 'Use the same version of `holdpoint` as the worker.',
  },
  'check-too-long': {
    consequence: 'refuse',
    message: 'To check the document and its inputs takes more than {limits}, which is what a worker gives to it.',
    remedy: 'Make them smaller: long lists, and `enum`, `anyOf` and `pattern` of many inputs, take the longest.',
  },
  'checks-waiting': {
    consequence: 'retry',
    message: 'The worker has {waiting} other documents to check first.',
    remedy: 'Try again; start more workers if it does not pass.',
  },
  'work-too-large': {
    consequence: 'refuse',
    message: 'With these inputs, {runbook} comes to more than {limit}.',
    remedy: 'Split the work into several runs, each with shorter lists, or put holds between its parts.',
  },
  'undo-too-large': {
    consequence: 'refuse',
    message: 'The plan that takes back what {runbook} has done comes to more than {limit}.',
    remedy:
      'Go on with the run (`retry`, `skip`, `done`), or abort it and take back by hand what has to be: ' +
      '`holdpoint evidence show` lists what was changed.',
  },
  'plan-too-slow': {
    consequence: 'stuck',
    message: 'The plan of {target} was not complete within {seconds} s: {what} was still being read.',
    remedy: 'See whether the API servers of the target answer in time (`kubectl get nodes`), then have it planned again.',
  },
  'runbook-invalid': {
    consequence: 'refuse',
    message: 'The runbook {file} cannot be used: {cause}',
    remedy: 'Correct it; `holdpoint lint {file}` lists every problem.',
  },
  'inputs-invalid': {
    consequence: 'refuse',
    message: 'The inputs do not fit the runbook {file}: {cause}',
    remedy: 'Correct them; `holdpoint runbooks {runbook}` shows what it takes.',
  },
  'configuration-invalid': {
    consequence: 'refuse',
    message: 'The configuration {file} cannot be used: {cause}',
    remedy: 'Correct the file, or name another one with --config or HOLDPOINT_CONFIG.',
  },
  'caller-refused': {
    consequence: 'refuse',
    message: 'The worker does not do {activity} for whoever has asked: {cause}.',
    remedy: 'Nothing was done. Find out who can reach Temporal; runs are started with `holdpoint start`.',
  },
  'step-not-signed': {
    consequence: 'stuck',
    message: 'Step {step} of run {run} is not carried out: {cause}.',
    remedy: 'Abort the run, plan again and have the plan signed.',
  },
  'command-refused': {
    consequence: 'refuse',
    message: 'The command {command} is not allowed now for the run {run}: {cause}.',
    remedy: 'Commands that are allowed now: {possible}.',
  },
  'target-busy': {
    consequence: 'refuse',
    message: '{target} has an open run already: {run} ({runbook}), started by {requester}, now {phase}.',
    remedy: 'See it with `holdpoint show {target}`; it must end before another one starts.',
  },
  'shown-forged': {
    consequence: 'refuse',
    message: 'What answers for {name} does not show what would be signed: {cause}. Nothing was signed.',
    remedy: 'Do not sign. Somebody who reaches Temporal may want to deceive you: tell whoever runs it, and keep the workflow {workflow}.',
  },
  'target-occupied': {
    consequence: 'refuse',
    message: 'Under {target} there is a workflow that is no run of these workers: {type}, on the queue {queue} (execution {execution}).',
    remedy:
      'Do not sign anything for it. Find out who has started it and can reach Temporal; ' +
      '`temporal workflow terminate --workflow-id {target}` frees the target.',
  },
  'run-unknown': {
    consequence: 'refuse',
    message: 'There is no run {run}.',
    remedy: '`holdpoint runs` lists the runs and their targets.',
  },
  'hold-not-waiting': {
    consequence: 'refuse',
    message: 'The run {run} does not wait at a hold; it is {phase}.',
    remedy: 'See what it does with `holdpoint show {run}`.',
  },
  'person-unnamed': {
    consequence: 'refuse',
    message: 'It is not clear who you are: {cause}.',
    remedy: 'Say it with --as NAME or HOLDPOINT_PERSON.',
  },
  'temporal-unreachable': {
    consequence: 'refuse',
    message: 'No Temporal server answers at {address}: {cause}.',
    remedy: 'Start one with `holdpoint up`, or set TEMPORAL_ADDRESS to the one you use.',
  },
  'temporal-settings-invalid': {
    consequence: 'refuse',
    message: 'The settings for Temporal cannot be used: {cause}.',
    remedy: '{remedy}',
  },
  'temporal-tls-failed': {
    consequence: 'refuse',
    message: 'There is no TLS connection to Temporal at {address}: {cause}.',
    remedy: '{remedy}',
  },
  'temporal-denied': {
    consequence: 'refuse',
    message: 'Temporal at {address} refuses {who} in the namespace {namespace}: {cause}.',
    remedy: '{remedy}',
  },
  'namespace-unknown': {
    consequence: 'refuse',
    message: 'The Temporal server at {address} has no namespace {namespace}.',
    remedy: 'Check TEMPORAL_NAMESPACE, or have the namespace created.',
  },
  'run-silent': {
    consequence: 'retry',
    message: 'The run on {target} does not answer: no worker on the task queue {queue} has taken the question.',
    remedy: 'Start a worker, or look into the logs of those that run; then try again.',
  },
  'run-not-replayed': {
    consequence: 'retry',
    message: 'The workers cannot tell how the run on {target} stands: what their code makes of its history is not what is in it.',
    remedy: 'Run a worker of the build that the run began with; `docs/changing-workflow-code.md` tells how. The run waits for it.',
  },
  'word-unanswered': {
    consequence: 'refuse',
    message: 'Nobody has answered for the run on {target} what has come of `{attempt}`: it may have been taken or not.',
    remedy: 'See how the run stands with `holdpoint show {target}` before you say it again.',
  },
  'schedule-unknown': {
    consequence: 'refuse',
    message: 'There is no schedule {schedule} of Holdpoint on this task queue.',
    remedy: '`holdpoint schedule list` shows which there are.',
  },
  'schedule-changed': {
    consequence: 'refuse',
    message: 'The schedule {schedule} was changed by somebody else while it was written.',
    remedy: 'Look at it with `holdpoint schedule show {schedule}`, then try again.',
  },
  'worker-missing': {
    consequence: 'refuse',
    message: 'No worker is listening on the task queue {queue} of {address}.',
    remedy: 'Start one with `holdpoint worker` (or `holdpoint up` for the sandbox).',
  },
  'session-missing': {
    consequence: 'refuse',
    message: 'Nobody is signed in, or the session is over.',
    remedy: 'Sign in again.',
  },
  'token-refused': {
    consequence: 'refuse',
    message: 'The token is not known, or is over.',
    remedy: 'Use a token of `api.tokens` in holdpoint.yaml, as `Authorization: Bearer TOKEN`.',
  },
  'identity-ambiguous': {
    consequence: 'refuse',
    message: 'The request has a token and a session, and it is not clear which of them counts.',
    remedy: 'Send one of them.',
  },
  'sign-in-failed': {
    consequence: 'refuse',
    message: 'The sign-in has failed: {cause}.',
    remedy: 'Sign in again. If that does not help, the log of `holdpoint serve` says what the identity provider has answered.',
  },
  'role-missing': {
    consequence: 'refuse',
    message: '{who} may not do this: it is for {role}.',
    remedy: 'Ask the platform team, who say in `api.roles` of holdpoint.yaml what each group may do.',
  },
  'origin-refused': {
    consequence: 'refuse',
    message: 'The request does not come from a page of {origin}.',
    remedy: 'Open the page there. If you did, a proxy on the way removes the headers Sec-Fetch-Site and Origin.',
  },
  'host-refused': {
    consequence: 'refuse',
    message: 'The request names another host than that of {origin}.',
    remedy: 'Use that address, or correct `api.url` in holdpoint.yaml; a proxy on the way must keep the header Host.',
  },
  'media-type-refused': {
    consequence: 'refuse',
    message: 'The request is not of the media type application/json.',
    remedy: 'Send JSON with `Content-Type: application/json`.',
  },
  'request-too-large': {
    consequence: 'refuse',
    message: 'The request is larger than what is let in.',
    remedy: 'Make it smaller.',
  },
  'route-unknown': {
    consequence: 'refuse',
    message: 'There is nothing under {route}.',
    remedy: '/api/v1/openapi.json lists what there is.',
  },
  'person-differs': {
    consequence: 'refuse',
    message: 'The session is that of {session}, and the statement that of {signer}. Nothing was sent to the run.',
    remedy: 'Sign in as the person who has signed.',
  },
  'opening-not-found': {
    consequence: 'refuse',
    message: 'The run {run} has not asked for signatures at hold {hold} with the number {number}.',
    remedy: 'Open the run and go on from there; what is older than its history is in its record.',
  },
  'plan-unknown': {
    consequence: 'refuse',
    message: 'The run {run} has no plan {hash} in its history.',
    remedy: 'Look into its record, where every plan is that was signed.',
  },
  'record-unknown': {
    consequence: 'refuse',
    message: 'There is no record of the run {run} that you may read.',
    remedy: 'Auditors and the people of a run may. `holdpoint show` says where the record is.',
  },
  'too-many-writes': {
    consequence: 'refuse',
    message: 'You have sent more than {limit} requests in a minute that change something.',
    remedy: 'Wait for a minute.',
  },
  'too-many-refusals': {
    consequence: 'refuse',
    message: 'The run {run} has refused {limit} of your attempts in a minute.',
    remedy: 'Wait for a minute, and read why it has refused them.',
  },
  'too-many-streams': {
    consequence: 'refuse',
    message: 'There are too many open streams; a session may have {limit}.',
    remedy: 'Close pages that you do not need, then load this one again.',
  },
  'not-ready': {
    consequence: 'retry',
    message: 'The server is alive, but Temporal does not answer it.',
    remedy: 'Look at the Temporal server and the network to it.',
  },
} as const satisfies Record<string, ErrorKind>;

/**
 * Every other code that is reported, with what follows from it: their words depend on more than a template can hold, so
 * they are written where they are found.
 */
export const errorsToldInPlace = {
  usage: 'refuse',
  'key-unusable': 'refuse',
  'plan-changed': 'refuse',
  'plan-blocked': 'refuse',
  'runbook-unknown': 'refuse',
  'worker-failed': 'refuse',
  unexpected: 'retry',
  interrupted: 'refuse',
  'run-id-malformed': 'refuse',
  'database-address-invalid': 'refuse',
  'database-unwritable': 'refuse',
  'target-differs': 'refuse',
  aborted: 'refuse',
  'run-differs': 'refuse',
  'hold-differs': 'refuse',
  'request-replaced': 'refuse',
  'request-unknown': 'refuse',
  'hold-expired': 'refuse',
  'plan-drifted': 'refuse',
  'run-aborted': 'refuse',
  'hold-withdrawn': 'refuse',
  'plan-differs': 'refuse',
  'question-differs': 'refuse',
  'decision-unknown': 'refuse',
  'already-decided': 'refuse',
  'verdict-reached': 'refuse',
  'requester-excluded': 'refuse',
  'deferral-too-late': 'refuse',
  'nothing-to-withdraw': 'refuse',
  'delegation-malformed': 'refuse',
  'delegation-ended': 'refuse',
  'delegation-out-of-scope': 'refuse',
  'earlier-approver-excluded': 'refuse',
  'person-excluded': 'refuse',
  'asker-excluded': 'refuse',
  'not-in-group': 'refuse',
  'glass-not-yours': 'refuse',
  'rule-operator': 'refuse',
  'rule-hold': 'refuse',
  'rule-policy': 'refuse',
  'rule-setting': 'refuse',
  'reason-missing': 'refuse',
  'reason-too-long': 'refuse',
  'reason-unreadable': 'refuse',
  'person-unknown': 'refuse',
  'key-malformed': 'refuse',
  'statement-too-large': 'refuse',
  'statement-malformed': 'refuse',
  'algorithm-refused': 'refuse',
  'signer-differs': 'refuse',
  'signature-forged': 'refuse',
  'key-early': 'refuse',
  'key-over': 'refuse',
  'key-revoked': 'refuse',
  'passkey-unknown': 'refuse',
  'passkey-challenge-differs': 'refuse',
  'passkey-origin-differs': 'refuse',
  'passkey-framed': 'refuse',
  'passkey-user-not-verified': 'refuse',
  'passkey-flags-wrong': 'refuse',
  'claim-differs': 'refuse',
  'statement-from-future': 'refuse',
  'statement-stale': 'refuse',
  'statement-used': 'refuse',
  'pre-approval-differs': 'refuse',
  'pre-approval-malformed': 'refuse',
  'pre-approval-early': 'refuse',
  'pre-approval-expired': 'refuse',
  'start-unsigned': 'refuse',
  'run-refused': 'refuse',
  'schedule-gone': 'refuse',
  'schedule-replaced': 'refuse',
  'schedule-paused': 'refuse',
  'calendar-gone': 'refuse',
  'opening-unknown': 'refuse',
  'opening-missed': 'refuse',
  'opening-early': 'refuse',
  'opening-frozen': 'refuse',
  'activity-lost': 'stuck',
  'policy-unreachable': 'stuck',
  'undo-blocked': 'refuse',
  'undo-impossible': 'refuse',
  'evidence-run-malformed': 'refuse',
  'evidence-entry-malformed': 'refuse',
  'evidence-conflict': 'stuck',
  'evidence-ended': 'refuse',
  'evidence-gap': 'stuck',
  'evidence-damaged': 'stuck',
  'evidence-full': 'stuck',
  'evidence-unwritable': 'retry',
  'evidence-unreadable': 'retry',
} as const satisfies Record<string, Consequence>;

export type ErrorCode = keyof typeof errorKinds;

export type ErrorDetails = Record<string, string | number>;

/** An error that is told to people as it is: its message says what happened, to which object and why. */
export class ToldError extends Error {
  /** One of `docs/errors.md`. */
  readonly code: string;
  /** What the person can do; empty where the message says all. */
  readonly remedy: string;

  constructor(code: string, message: string, remedy = '', options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.remedy = remedy;
  }
}

/** An error of the registry: what happened, to which object, why, and what to do. */
export class HoldpointError extends ToldError {
  override readonly name = 'HoldpointError';
  declare readonly code: ErrorCode;
  readonly consequence: Consequence;
  readonly details: ErrorDetails;

  /** `hint`: a sentence to go behind the message; `remedy`: what to do in the place of what the registry says. */
  constructor(code: ErrorCode, details: ErrorDetails = {}, options: { cause?: unknown; hint?: string; remedy?: string } = {}) {
    const { hint = '', remedy, ...rest } = options;
    const kind: ErrorKind = errorKinds[code];
    super(code, fill(kind.message, details) + hint, remedy ?? fill(kind.remedy, details), rest);
    this.consequence = kind.consequence;
    this.details = details;
  }
}

function fill(text: string, details: ErrorDetails): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => String(details[name] ?? place));
}
