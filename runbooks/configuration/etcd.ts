import { dirname, resolve } from 'node:path';
import * as z from 'zod';
import type { SourceMap } from '../grammar/document.ts';
import { absoluteBackups, backupPlaceIn, backupsGrammar, checkBackups, type BackupPlace } from './backups.ts';

/** Members of etcd that one cluster may have: etcd itself advises seven at most. */
const endpointsMax = 9;
const pathCharactersMax = 4096;

/** How a cluster of etcd is reached, and where its backups are kept. */
export interface EtcdAccess {
  /** The client address of every member. */
  endpoints: string[];
  /** Files in PEM; left out where the members serve without TLS. */
  tls?: EtcdTls;
  /** Folder of etcdctl and etcdutl; where PATH says if left out. */
  programs?: string;
  /** Nothing can be backed up where it is left out. */
  backups?: BackupPlace;
  /** The machines of all members, by the names of the members; nothing can be restored where they are left out. */
  members?: Record<string, EtcdMachine>;
}

/** What the worker on the machine of a member has to know of it: see `holdpoint worker --member`. */
export interface EtcdMachine {
  /** Its client address, one of `endpoints`. */
  endpoint: string;
  /** Its address for the other members. */
  peerUrl: string;
  /** Absolute: it is a path on that machine. */
  dataDirectory: string;
  /** How etcd is started there, and ended: a program with its arguments, which no shell reads. */
  start: string[];
  stop: string[];
}

/** Files in PEM that say who the members and the worker are. */
export interface EtcdTls {
  certificateAuthority: string;
  /** Of the worker; left out together with its key where members ask for none. */
  certificate?: string;
  key?: string;
}

const file = z.string().min(1).max(pathCharactersMax);
const address = z
  .string()
  .max(300)
  .regex(/^https?:\/\/[^\s/@,?#]+:\d{1,5}$/, 'must be an address such as https://10.0.0.1:2379');
const absolutePath = z
  .string()
  .max(pathCharactersMax)
  .regex(/^\/[^\0]*[^/\0]$/, 'must be an absolute path without a `/` at its end');
const commandLine = z
  .array(z.string().min(1).max(pathCharactersMax))
  .min(1)
  .max(50)
  .refine(([program = '']) => program.startsWith('/'), { error: 'must begin with the absolute path of a program' });
/** `m1` of the worker `--member prod/m1`. */
const memberNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

const memberGrammar = z.strictObject({
  endpoint: address.describe('Its client address, one of `endpoints`.'),
  peerUrl: address.describe('Its address for the other members.'),
  dataDirectory: absolutePath.describe('Where its data are on its machine. What is restored is put beside it.'),
  start: commandLine.describe('How etcd is started there: a program and its arguments, without a shell. It may be called again.'),
  stop: commandLine.describe('How it is ended there; when the program ends, it has ended. It may be called again.'),
});

/** An entry of `etcd` of holdpoint.yaml. */
export const etcdGrammar = z.strictObject({
  endpoints: z.array(address).min(1).max(endpointsMax).describe('The client address of every member.'),
  tls: z
    .strictObject({
      certificateAuthority: file.describe('File in PEM of the authority that has signed the certificates of the members.'),
      certificate: file.describe('File in PEM of the certificate of the worker.').optional(),
      key: file.describe('File in PEM of its key.').optional(),
    })
    .describe('Files for TLS, relative to this file.')
    .optional(),
  programs: file.describe('Folder of etcdctl and etcdutl, 3.6 or newer, relative to this file; PATH is searched if left out.').optional(),
  backups: backupsGrammar.describe('Where backups of the cluster are kept, and what encrypts them.').optional(),
  members: z
    .record(z.string().regex(memberNamePattern, 'must be letters, digits, `.`, `_` and `-`'), memberGrammar)
    .describe('The machine of every member, by the names of the members; for etcd-restore, and for `holdpoint worker --member`.')
    .optional(),
});

type Document = Record<string, z.output<typeof etcdGrammar>>;

/** Tells what a grammar cannot: which settings belong together. */
export function checkEtcd(clusters: Document, sourceMap: SourceMap): void {
  for (const [id, { endpoints, tls, backups, members }] of Object.entries(clusters)) {
    const path = ['etcd', id];
    for (const [index, endpoint] of endpoints.entries()) {
      if (endpoints.indexOf(endpoint) < index) sourceMap.error([...path, 'endpoints', index], `"${endpoint}" is in the list twice.`);
      if (endpoint.startsWith('https:') !== (tls !== undefined)) {
        const message = tls ? 'Must begin with https://, as there is `tls`.' : 'An address with https:// needs `tls`.';
        sourceMap.error([...path, 'endpoints', index], message);
      }
    }
    if (tls && (tls.certificate === undefined) !== (tls.key === undefined)) {
      sourceMap.error([...path, 'tls'], 'A `certificate` and its `key` belong together: name both, or neither.');
    }
    if (backups) checkBackups(backups, [...path, 'backups'], sourceMap);
    if (members) checkMembers({ endpoints, members }, path, sourceMap);
  }
}

/** A restore that leaves a member out, or takes one for another, makes two clusters of one. */
function checkMembers(
  { endpoints, members }: { endpoints: string[]; members: Record<string, EtcdMachine> },
  path: string[],
  sourceMap: SourceMap,
): void {
  const machines = Object.entries(members);
  for (const [index, endpoint] of endpoints.entries()) {
    const has = machines.filter(([, machine]) => machine.endpoint === endpoint);
    if (has.length === 1) continue;
    const message = has.length === 0 ? `No member of \`members\` has "${endpoint}".` : `${has.length} members have "${endpoint}".`;
    sourceMap.error([...path, 'endpoints', index], message);
  }
  for (const [name, { endpoint, peerUrl }] of machines) {
    const at = [...path, 'members', name];
    if (!endpoints.includes(endpoint)) sourceMap.error([...at, 'endpoint'], `"${endpoint}" is none of \`endpoints\`.`);
    const [first] = machines.find(([, machine]) => machine.peerUrl === peerUrl) ?? [name];
    if (first !== name) sourceMap.error([...at, 'peerUrl'], `"${peerUrl}" is the address of ${first} already.`);
  }
}

/** Of clusters that have been checked; paths are as they were written. */
export function etcdClustersIn(clusters: Document): Record<string, EtcdAccess> {
  const complete = Object.entries(clusters).map(([id, { backups, ...access }]): [string, EtcdAccess] => {
    const place = backups && backupPlaceIn(backups);
    return [id, { ...access, ...(place && { backups: place }) }];
  });
  return Object.fromEntries(complete);
}

/** How the clusters of etcd of a configuration are reached, with absolute paths. */
export function etcdClustersOf(
  configurationFile: string,
  { etcd = {} }: { etcd?: Record<string, EtcdAccess> },
): Record<string, EtcdAccess> {
  const absolute = (path: string): string => resolve(dirname(configurationFile), path);
  const complete = Object.entries(etcd).map(([id, { endpoints, tls, programs, backups, members }]): [string, EtcdAccess] => {
    const files = tls && Object.fromEntries(Object.entries(tls).map(([name, path]) => [name, absolute(path as string)]));
    return [
      id,
      {
        endpoints,
        ...(files && { tls: files as unknown as EtcdTls }),
        ...(programs !== undefined && { programs: absolute(programs) }),
        ...(backups && { backups: absoluteBackups(backups, absolute) }),
        ...(members && { members }),
      },
    ];
  });
  return Object.fromEntries(complete);
}
