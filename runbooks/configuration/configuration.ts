import * as z from 'zod';
import type { ChangeKind } from '../../domain/action.ts';
import { bytesOfKey, keysOf, keysPerPersonMax, keyTypeNames, type PersonKey, type PersonKeys } from '../../domain/approval/keys.ts';
import { everybody, type Policy } from '../../domain/approval/policy.ts';
import type { Rule } from '../../domain/approval/rules.ts';
import type { ConfiguredWaiver } from '../../domain/preflight/waiver.ts';
import type { CalendarDefinition } from '../../domain/calendar/definition.ts';
import type { AvailabilityGoal } from '../../domain/availability/availability.ts';
import { timeMsOf } from '../../domain/time.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import { type SourceMap, readDocument } from '../grammar/document.ts';
import { actionNames, findAction, systemNames, type SystemName } from '../actions/index.ts';
import { availabilityGrammar, availabilityIn, checkAvailability } from './availability.ts';
import { waiverGrammar } from './waivers.ts';
import { calendarsGrammar, checkCalendars, definitionsOf } from './calendars.ts';
import { checkPolicies, policiesOf, policy } from './policies.ts';
import { apiVersion } from '../grammar/runbook.ts';
import type { Problem, ValuePath } from '../grammar/problem.ts';
import { checkShape } from '../grammar/shape.ts';
import { parseTarget } from '../targets.ts';
import { apiGrammar, apiSettingsOf, checkApi, oidcOfPerson, type ApiSettings } from './api.ts';
import { backupPlaceIn, backupPlacesGrammar, checkBackupPlaces, type BackupPlace } from './backups.ts';
import { checkConsole, consoleGrammar, withOrigins, type Console } from './console.ts';
import { checkEtcd, etcdClustersIn, etcdGrammar, type EtcdAccess } from './etcd.ts';
import { checkEndpoints, endpointGrammar, endpointsOf, type Endpoint } from './endpoints.ts';
import { checkNotifications, notificationsGrammar, notificationsOf, type Notifications } from './notifications.ts';
import { checkProbes, probeGrammar, probesIn, type ProbeAccess } from './probes.ts';
import { placeIn, placeOf, type EvidencePlace } from './places.ts';

const ed25519KeyBytes = 32;
/** Entries of `people`, of `groups`, of `policies`, of `clusters`, of `etcd`, of `workers`, and of a list of rules. */
export const configurationEntriesMax = 1000;

/** Someone who may start runs and decide on holds, with their public keys. */
export interface Person extends PersonKeys {
  name: string;
  /** How the identity provider knows them; they cannot sign in over HTTP where it is left out. */
  oidc?: { issuer: string; subject: string };
}

/** A holdpoint.yaml that has been read and checked. */
export interface Configuration {
  people: Record<string, Person>;
  /** Ids of people by the name of their group. */
  groups: Record<string, string[]>;
  policies: Record<string, Policy>;
  /** The workers whose signatures under entries of records count, by their names. */
  workers?: Record<string, WorkerKey>;
  /** A second place where the heads of records are put; none if left out. */
  anchor?: EvidencePlace;
  /** Where the records of runs are kept; the worker has a default. */
  evidence?: EvidencePlace;
  /** Where large files are kept; beside the records if left out. */
  artifacts?: EvidencePlace;
  /** How targets `kubernetes/<name>` are reached, by their names. */
  clusters?: Record<string, ClusterAccess>;
  /** How targets `etcd/<name>` are reached and where their backups are kept, by their names. */
  etcd?: Record<string, EtcdAccess>;
  /** Where the objects of clusters are backed up to, by their targets. */
  backups?: Record<string, BackupPlace>;
  /** The systems that a worker loads; all of them where it is left out. */
  systems?: SystemName[];
  /** Who may start what on which targets, and what has to be signed for it. */
  rules?: Rule[];
  /** What gates may ask over HTTP, by name. */
  endpoints?: Record<string, Endpoint>;
  /** How outages of databases are measured, by their targets. */
  probes?: Record<string, ProbeAccess>;
  /** How long writes of databases may be refused by changes, by their targets. */
  availability?: Record<string, AvailabilityGoal>;
  /** Whom to tell of what, and how; nobody where it is left out. */
  notifications?: Notifications;
  /** Where the console is; there is none where it is left out. */
  console?: Console;
  /** When maintenance may be done, by the names of the calendars. */
  calendars?: Record<string, CalendarDefinition>;
  /** Findings of checks that people go past. */
  waivers?: ConfiguredWaiver[];
  /** How people and machines reach runs over HTTP; only workers and the command line do where it is left out. */
  api?: ApiSettings;
}

/** The key of a worker, and when entries are signed with it. */
export interface WorkerKey {
  /** The raw Ed25519 public key, base64url: the `x` of its JWK. */
  key: string;
  /** ISO 8601, UTC. */
  from: string;
  /** ISO 8601, UTC; still in use where it is left out. */
  until?: string;
}

/** A context of a kubeconfig, whose path is relative to the file; or the cluster that the worker is a pod of. */
export type ClusterAccess = { kubeconfig: string; context: string } | { inCluster: true };

export type { EvidenceBucket, EvidencePlace } from './places.ts';

const name = z
  .string()
  .max(63)
  .regex(/^[a-z0-9][a-z0-9._-]*$/, 'must be made of small letters, digits, `-`, `_` and `.`');
const key = z.string().refine(isEd25519Key, {
  error: 'must be an Ed25519 public key: the `x` of its JWK, 43 characters of base64url',
});
const keyTime = z.string().refine((text) => timeMsOf(text) !== undefined, { error: 'must be a time in UTC such as 2026-11-28T00:00:00Z' });
const personKey = z.strictObject({
  type: z
    .enum(keyTypeNames)
    .describe(
      '`ed25519`: the `x` of a JWK, as `holdpoint keys create` makes it. `ssh`: an ssh-ed25519 line, as in authorized_keys. ' +
        '`passkey`: as the console prints it.',
    ),
  key: z.string().max(1000).describe('The public key, as its type is written.'),
  from: keyTime.describe('What was signed before this does not count; it always counts if left out.').optional(),
  until: keyTime.describe('From this moment on the key does not count: another one has taken its place.').optional(),
  revoked: keyTime
    .describe('From this moment on nothing counts that was ever signed with the key: it may be in the wrong hands.')
    .optional(),
});
const person = z
  .strictObject({
    name: z.string().min(1).max(200).describe('Full name, as others know the person.'),
    key: key.describe('Ed25519 public key, base64url: the `x` of its JWK. Short for one entry of `keys` that always counts.').optional(),
    keys: z
      .array(personKey)
      .min(1)
      .max(keysPerPersonMax)
      .describe('The public keys of the person; `holdpoint keys enrol` prints one.')
      .optional(),
    oidc: oidcOfPerson.describe('How the identity provider knows the person who signs in at `api`.').optional(),
  })
  .meta({ oneOf: [{ required: ['key'] }, { required: ['keys'] }] });

const time = z.iso.datetime({ error: 'must be a time in UTC such as 2026-11-28T00:00:00Z' });
const worker = z.strictObject({
  key: key.describe('Ed25519 public key of the worker. `holdpoint keys create NAME --worker` makes one.'),
  from: time.describe('When the key was first used.'),
  until: time.describe('When it was used last; still in use if left out.').optional(),
});

const cluster = z.strictObject({
  kubeconfig: z.string().min(1).max(4096).describe('Path of a kubeconfig, relative to this file.').optional(),
  context: z.string().min(1).max(253).describe('Name of a context of the kubeconfig.').optional(),
  inCluster: z.literal(true, 'must be true, or left out').describe('The cluster in which the worker is a pod.').optional(),
});

const kinds = ['reads', 'adds', 'changes', 'destroys'] as const satisfies ChangeKind[];
const names = z.array(z.string()).min(1);

const settingRule = z.strictObject({
  action: z.string().describe('The action whose setting is meant.'),
  setting: z.string().describe('A setting of it, as in `with`.'),
  is: z.union([z.string(), z.number(), z.boolean()]).describe('The value that is meant; any value where nothing is said.').optional(),
  above: z.number().describe('Values above this are meant.').optional(),
  below: z.number().describe('Values below this are meant.').optional(),
  policy: z.string().describe('The least policy that such a setting needs; it is forbidden if left out.').optional(),
});

const targetPatterns = z
  .array(
    z
      .string()
      .max(253)
      .regex(/^[\w.*-]+(\/[\w.*-]+)+$/, 'must be a target such as kubernetes/lab, with `*` for any characters of one of its parts'),
  )
  .min(1);

const rule = z.strictObject({
  targets: targetPatterns.describe('The targets that the rule is for, such as `eks/*/prod-*`; all of them if left out.').optional(),
  changes: z.array(z.enum(kinds)).min(1).describe('The kinds of change that the rule is for; all of them if left out.').optional(),
  operate: names.describe('Groups and people who may start and operate such runs; everybody in `people` if left out.').optional(),
  start: names.describe('Groups and people whose start alone is enough for such changes, without a hold.').optional(),
  policy: z.string().describe('The least policy that the hold above such changes must have.').optional(),
  settings: z.array(settingRule).min(1).describe('Settings that are forbidden, or need a policy of their own.').optional(),
});

const databaseTarget = z
  .string()
  .max(253)
  .regex(/^rds\/[a-z0-9-]+\/[a-z0-9-]+$/, 'must be a target such as rds/eu-central-1/orders');

/** The whole language of holdpoint.yaml. */
export const configurationGrammar = z.strictObject({
  apiVersion: z.literal(apiVersion).describe('Version of the language.'),
  kind: z.literal('Configuration').describe('What the document is.'),
  people: z.record(name, person).describe('People by a short id, which runs and records call them by.'),
  groups: z.record(name, z.array(z.string()).min(1)).describe('Lists of ids of people, by the name of the group.'),
  policies: z.record(name, policy).describe('Approval policies by name; the holds of runbooks refer to them.'),
  workers: z.record(name, worker).describe('Keys of workers, by any name: they sign the entries of records.').optional(),
  evidence: placeOf('the records of runs are kept').optional(),
  anchor: placeOf('the heads of records are put as well, and nobody can remove them').optional(),
  artifacts: placeOf('large files such as snapshots are kept; beside the records if left out').optional(),
  clusters: z
    .record(name, cluster)
    .describe('Kubernetes clusters by the name that targets such as kubernetes/NAME call them by.')
    .optional(),
  etcd: z.record(name, etcdGrammar).describe('Clusters of etcd by the name that targets such as etcd/NAME call them by.').optional(),
  backups: backupPlacesGrammar
    .describe('Where the objects of Kubernetes clusters are backed up to, by targets such as eks/eu-central-1/prod.')
    .optional(),
  systems: z.array(z.enum(systemNames())).min(1).describe('The systems that workers load; all of them if left out.').optional(),
  rules: z
    .array(rule)
    .max(configurationEntriesMax)
    .describe('Who may start what on which targets, and what has to be signed for it. Every rule that covers a step counts.')
    .optional(),
  endpoints: z.record(name, endpointGrammar).describe('What gates may ask over HTTP, by name.').optional(),
  probes: z
    .record(databaseTarget, probeGrammar)
    .describe('How the outages of Aurora clusters are measured while they are changed, by their targets.')
    .optional(),
  availability: z
    .record(databaseTarget, availabilityGrammar)
    .describe('How long writes of Aurora clusters may be refused by changes, by their targets. What was measured is spent of it.')
    .optional(),
  notifications: notificationsGrammar.describe('Whom to tell of what happens to runs, and how.').optional(),
  console: consoleGrammar.describe('Where the console is, in which people sign with passkeys.').optional(),
  calendars: calendarsGrammar.describe('When maintenance may be done: windows, and freezes that win over them.').optional(),
  waivers: z
    .array(
      waiverGrammar.extend({
        targets: targetPatterns.describe('The targets that it is for, such as `eks/*/test-*`; all of them if left out.').optional(),
      }),
    )
    .max(configurationEntriesMax)
    .describe('Findings of `holdpoint check` that people go past, each until a time.')
    .optional(),
  api: apiGrammar.describe('How people and machines reach runs over HTTP: `holdpoint serve`.').optional(),
});

/** Reads a holdpoint.yaml. Every problem is reported with its place; never throws for what the text holds. */
export function loadConfiguration(text: string, file: string): { configuration?: Configuration; problems: Problem[] } {
  const { value, sourceMap } = readDocument(text, file);
  if (value === undefined) return { problems: sourceMap.problems() };
  const sound = checkShape(configurationGrammar, value, sourceMap);
  if (!sound) return { problems: sourceMap.problems() };
  const document = configurationGrammar.parse(value);
  checkSizes(document, sourceMap);
  checkKeys(document, sourceMap);
  checkConsole(document.console, document.people, sourceMap);
  checkGroups(document, sourceMap);
  checkPolicies(document, sourceMap);
  checkPlaces(document, sourceMap);
  checkClusters(document, sourceMap);
  checkEtcd(document.etcd ?? {}, sourceMap);
  checkBackupPlaces(document.backups ?? {}, (target) => parseTarget(target).kind, sourceMap);
  checkRules(document, sourceMap);
  checkEndpoints(document.endpoints ?? {}, sourceMap);
  checkProbes(document.probes ?? {}, sourceMap);
  checkAvailability(document.availability ?? {}, Object.keys(document.policies), sourceMap);
  if (document.notifications) checkNotifications(document.notifications, document, sourceMap);
  checkCalendars(document.calendars, sourceMap);
  if (document.api) checkApi(document.api, document.people, sourceMap);
  const problems = sourceMap.problems();
  return sourceMap.hasErrors() ? { problems } : { configuration: configurationOf(document, sourceMap), problems };
}

type ConfigurationDocument = z.output<typeof configurationGrammar>;

function isEd25519Key(text: string): boolean {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length === ed25519KeyBytes && bytes.toString('base64url') === text;
}

function checkSizes(document: ConfigurationDocument, sourceMap: SourceMap): void {
  for (const part of [
    'people',
    'groups',
    'policies',
    'clusters',
    'etcd',
    'backups',
    'workers',
    'endpoints',
    'probes',
    'availability',
  ] as const) {
    const count = Object.keys(document[part] ?? {}).length;
    if (count > configurationEntriesMax) sourceMap.error([part], `Has ${count} entries; at most ${configurationEntriesMax} are allowed.`);
  }
}

function checkKeys(document: ConfigurationDocument, sourceMap: SourceMap): void {
  const owners = new Map<string, string>();
  for (const [id, person] of Object.entries(document.people)) {
    if ((person.key === undefined) === (person.keys === undefined)) {
      sourceMap.error(['people', id], 'Must have either a `key` or a list of `keys`.');
      continue;
    }
    for (const [index, key] of keysOf(person).entries()) {
      checkPersonKey(key, person.keys ? ['people', id, 'keys', index] : ['people', id], id, owners, sourceMap);
    }
  }
  for (const [id, { key: publicKey, from, until }] of Object.entries(document.workers ?? {})) {
    const owner = owners.get(publicKey);
    if (owner === undefined) owners.set(publicKey, id);
    else
      sourceMap.error(['workers', id, 'key'], `Is also the key of "${owner}"; a worker needs its own, or it could sign as somebody else.`);
    if (until !== undefined && Date.parse(until) <= Date.parse(from))
      sourceMap.error(['workers', id, 'until'], 'Must be later than `from`.');
  }
}

/** `owners` are those of the keys before, by their bytes: one key written in two ways has one owner, too. */
function checkPersonKey(given: PersonKey, path: ValuePath, id: string, owners: Map<string, string>, sourceMap: SourceMap): void {
  const bytes = bytesOfKey(given);
  if (!bytes) {
    const wanted = {
      ed25519: 'an Ed25519 public key: the `x` of its JWK, 43 characters of base64url',
      ssh: 'a line `ssh-ed25519 AAAA… comment`, without options before it; `ssh-keygen -t ed25519` makes such a key',
      passkey: 'a passkey as the page "me" of the console prints it: `passkey:ES256:device-bound:HOST:…`',
    };
    sourceMap.error([...path, 'key'], `Must be ${wanted[given.type]}.`);
    return;
  }
  const publicKey = Buffer.from(bytes).toString('base64url');
  const owner = owners.get(publicKey);
  if (owner !== undefined && owner !== id) {
    sourceMap.error([...path, 'key'], `Is also the key of "${owner}"; everyone needs their own, or one person could sign twice.`);
  }
  const place = `${id} ${given.type} ${publicKey}`;
  if (owners.has(place)) sourceMap.error([...path, 'key'], 'Is in the list twice.');
  owners.set(publicKey, id).set(place, id);
  const { from, until } = given;
  if (from !== undefined && until !== undefined && Date.parse(until) <= Date.parse(from)) {
    sourceMap.error([...path, 'until'], 'Must be later than `from`.');
  }
}

function checkGroups(document: ConfigurationDocument, sourceMap: SourceMap): void {
  const people = Object.keys(document.people);
  for (const [group, members] of Object.entries(document.groups)) {
    for (const [index, member] of members.entries()) {
      const path = ['groups', group, index];
      if (!Object.hasOwn(document.people, member)) sourceMap.error(path, `There is no "${member}" in people.${didYouMean(member, people)}`);
      if (members.indexOf(member) < index) sourceMap.error(path, `"${member}" is in the group twice.`);
    }
  }
}

function checkPlaces(document: ConfigurationDocument, sourceMap: SourceMap): void {
  for (const part of ['evidence', 'artifacts', 'anchor'] as const) {
    const place = document[part];
    if (place && (place.directory === undefined) === (place.s3 === undefined)) {
      sourceMap.error([part], 'Must name either a `directory` or a bucket (`s3`), not both.');
    }
  }
}

function checkClusters({ clusters = {} }: ConfigurationDocument, sourceMap: SourceMap): void {
  for (const [id, { kubeconfig, context, inCluster }] of Object.entries(clusters)) {
    const path = ['clusters', id];
    if ((kubeconfig === undefined) === (inCluster === undefined)) {
      sourceMap.error(path, 'Must name either a `kubeconfig` and a `context` of it, or `inCluster: true`.');
    } else if ((kubeconfig === undefined) !== (context === undefined)) {
      const why = 'the current context of a kubeconfig may change without anybody noticing';
      const message = kubeconfig === undefined ? 'A `context` belongs to a `kubeconfig`.' : `Must name a \`context\`, too: ${why}.`;
      sourceMap.error(path, message);
    }
  }
}

function checkRules({ rules = [], people, groups, policies }: ConfigurationDocument, sourceMap: SourceMap): void {
  const known = [...Object.keys(groups), ...Object.keys(people), everybody];
  const checkPolicy = (name: string | undefined, path: ValuePath): void => {
    if (name === undefined || Object.hasOwn(policies, name)) return;
    sourceMap.error([...path, 'policy'], `There is no policy "${name}".${didYouMean(name, Object.keys(policies))}`);
  };
  for (const [index, { operate = [], start = [], policy: least, settings = [] }] of rules.entries()) {
    const path = ['rules', index];
    for (const [key, list] of Object.entries({ operate, start })) {
      for (const [place, name] of list.entries()) {
        const message = `There is no group and nobody in people called "${name}".${didYouMean(name, known)}`;
        if (!known.includes(name)) sourceMap.error([...path, key, place], message);
      }
    }
    checkPolicy(least, path);
    for (const [place, given] of settings.entries()) {
      checkSetting(given, [...path, 'settings', place], sourceMap);
      checkPolicy(given.policy, [...path, 'settings', place]);
    }
  }
}

function checkSetting({ action: name, setting }: z.output<typeof settingRule>, path: ValuePath, sourceMap: SourceMap): void {
  const action = findAction(name);
  if (action === undefined) {
    sourceMap.error([...path, 'action'], `There is no action "${name}".${didYouMean(name, actionNames())}`);
    return;
  }
  const settings = Object.keys(action.input.shape);
  if (settings.includes(setting)) return;
  sourceMap.error(
    [...path, 'setting'],
    `${name} has no setting "${setting}".${didYouMean(setting, settings)} There are: ${settings.join(', ')}.`,
  );
}

/** Of clusters that have been checked. */
function clusterAccessOf({ kubeconfig, context }: z.output<typeof cluster>): ClusterAccess {
  return kubeconfig === undefined || context === undefined ? { inCluster: true } : { kubeconfig, context };
}

function backupsIn(backups: NonNullable<ConfigurationDocument['backups']>): Record<string, BackupPlace> {
  const places = Object.entries(backups).map(([target, given]) => [target, backupPlaceIn(given)] as const);
  return Object.fromEntries(places.flatMap(([target, place]) => (place ? [[target, place]] : [])));
}

function notificationsIn(
  notifications: NonNullable<ConfigurationDocument['notifications']>,
  api: ConfigurationDocument['api'],
): Notifications {
  return { ...notificationsOf(notifications), ...(api && { pagesUrl: apiSettingsOf(api).url }) };
}

function configurationOf(document: ConfigurationDocument, sourceMap: SourceMap): Configuration {
  const { people, groups, policies, systems, workers, rules, calendars } = document;
  const clusters = document.clusters && Object.entries(document.clusters).map(([id, given]) => [id, clusterAccessOf(given)] as const);
  return {
    people: withOrigins(people, document.console),
    groups,
    policies: policiesOf(policies),
    workers,
    anchor: placeIn(document.anchor),
    evidence: placeIn(document.evidence),
    artifacts: placeIn(document.artifacts),
    clusters: clusters && Object.fromEntries(clusters),
    etcd: document.etcd && etcdClustersIn(document.etcd),
    backups: document.backups && backupsIn(document.backups),
    systems,
    rules,
    endpoints: document.endpoints && endpointsOf(document.endpoints),
    probes: document.probes && probesIn(document.probes),
    availability: document.availability && availabilityIn(document.availability),
    notifications: document.notifications && notificationsIn(document.notifications, document.api),
    console: document.console,
    calendars: calendars && definitionsOf(calendars, sourceMap),
    waivers: document.waivers,
    ...(document.api && { api: apiSettingsOf(document.api) }),
  };
}
