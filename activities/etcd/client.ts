import * as z from 'zod';
import type { EtcdMember, EtcdStatus, HashKv } from '../../domain/etcd/members.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { parseJson } from '../../domain/json.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import { visible } from '../../domain/visible.ts';
import type { EtcdAccess } from '../../runbooks/configuration/etcd.ts';
import { findProgram, runProgram, type ProgramEnd } from './programs.ts';

/** One member is asked one thing, and answers at once where it is well. */
const answerTimeoutMs = 5_000;
/** HashKV reads all keys of a member: 0.2 s for 300 MB, more on a slow disk. */
const hashTimeoutMs = 120_000;
/** Whatever etcdctl needs to end besides. */
const endTimeoutMs = 5_000;
const shownCharactersMax = 500;

const id = z.union([z.string(), z.number()]).transform(String);
const count = z.number().default(0);
const header = z.object({ cluster_id: id, member_id: id, revision: count });
const statusAnswer = z
  .array(
    z.object({
      Status: z.object({
        header,
        version: z.string(),
        dbSize: count,
        dbSizeInUse: count,
        leader: id.default('0'),
        raftIndex: count,
        raftAppliedIndex: count,
        isLearner: z.boolean().default(false),
        errors: z.array(z.string()).default([]),
      }),
    }),
  )
  .length(1);
const membersAnswer = z.object({
  members: z.array(
    z.object({
      ID: id,
      name: z.string().default(''),
      peerURLs: z.array(z.string()).default([]),
      clientURLs: z.array(z.string()).default([]),
      isLearner: z.boolean().default(false),
    }),
  ),
});
const alarmNames: Readonly<Record<string, string>> = { 0: 'NONE', 1: 'NOSPACE', 2: 'CORRUPT' };
const alarmsAnswer = z.object({ alarms: z.array(z.object({ memberID: id, alarm: z.union([z.string(), z.number()]) })).default([]) });
const hash = z.object({ hash: z.number(), compact_revision: z.number(), hash_revision: z.number() });
const hashAnswer = z.array(z.object({ HashKV: hash })).length(1);

/** A cluster of etcd through etcdctl. Every call has limits of time and output. */
export interface EtcdClient {
  /** Every member of the cluster as it is now. Throws `etcd-program-unusable`, `etcd-unreachable` where none of them answers. */
  members(signal?: AbortSignal): Promise<EtcdMember[]>;
  /** The hash of a member's keys up to a revision; undefined where it has not come that far. Throws `etcd-unreachable`. */
  hashKv(member: EtcdMember, revision: number, signal?: AbortSignal): Promise<HashKv | undefined>;
  /** Has one member do something by a command of etcdctl; how that ended is told by its end. Throws `etcd-program-unusable`. */
  tell(member: EtcdMember, command: readonly string[], timeoutMs: number, signal?: AbortSignal): Promise<ProgramEnd>;
  /** Path of etcdctl, and the flags that lead to a member. */
  command(member: EtcdMember): Promise<{ file: string; flags: string[] }>;
}

/** Makes the client; nothing is asked yet. Sockets among the endpoints are looked for in `cwd`. */
export function createEtcdClient(access: EtcdAccess, target: Target, cwd?: string): EtcdClient {
  let program: Promise<string> | undefined;
  const file = (): Promise<string> => {
    program ??= findProgram(access, 'etcdctl');
    program.catch(() => (program = undefined));
    return program;
  };
  const ask = async (endpoint: string, args: readonly string[], timeoutMs: number, signal?: AbortSignal): Promise<ProgramEnd> => {
    const limits = [`--command-timeout=${timeoutMs}ms`, `--dial-timeout=${answerTimeoutMs}ms`, '--write-out=json'];
    const all = [...args, ...flagsOf(access, endpoint), ...limits];
    return runProgram(await file(), all, { timeoutMs: timeoutMs + endTimeoutMs, signal, cwd });
  };
  const unreachable = (member: string, call: string, cause: string): HoldpointError => {
    return new HoldpointError('etcd-unreachable', {
      member,
      target: formatTarget(target),
      call,
      cause: visible(cause, shownCharactersMax),
    });
  };
  const members = async (signal?: AbortSignal): Promise<EtcdMember[]> => {
    const looks = await Promise.all(
      access.endpoints.map(async (endpoint) => {
        const end = await ask(endpoint, ['endpoint', 'status'], answerTimeoutMs, signal);
        const answer = end.code === 0 ? statusAnswer.safeParse(readAnswer(end.stdout)).data?.[0]?.Status : undefined;
        return { endpoint, answer, silence: end.code === 0 ? 'its answer cannot be read' : end.reason };
      }),
    );
    // A learner tells how it is itself, and refuses to tell of the others.
    const awake = looks.find(({ answer }) => answer?.isLearner === false) ?? looks.find(({ answer }) => answer !== undefined);
    if (!awake) throw unreachable(looks.map(({ endpoint }) => endpoint).join(', '), 'endpoint status', looks[0]?.silence ?? '');
    const parsed = async <Answer>(args: readonly string[], shape: z.ZodType<Answer>): Promise<Answer> => {
      const end = await ask(awake.endpoint, args, answerTimeoutMs, signal);
      const { success, data } = shape.safeParse(end.code === 0 ? readAnswer(end.stdout) : undefined);
      if (!success) throw unreachable(awake.endpoint, args.join(' '), end.code === 0 ? 'its answer cannot be read' : end.reason);
      return data;
    };
    const [{ members: listed }, { alarms }] = await Promise.all([
      parsed(['member', 'list'], membersAnswer),
      parsed(['alarm', 'list'], alarmsAnswer),
    ]);
    return listed.map(({ ID, name, peerURLs, clientURLs, isLearner }): EtcdMember => {
      const look =
        looks.find(({ answer }) => answer?.header.member_id === ID) ?? looks.find(({ endpoint }) => clientURLs.includes(endpoint));
      const own = alarms.filter(({ memberID, alarm }) => memberID === ID && alarm !== 0);
      return {
        id: ID,
        name: visible(name === '' ? ID : name, shownCharactersMax),
        ...(look && { endpoint: look.endpoint }),
        peerUrls: peerURLs.map((url) => visible(url, shownCharactersMax)),
        isLearner,
        ...(look?.answer && { status: statusOf(look.answer) }),
        ...(look && !look.answer && { silence: look.silence }),
        alarms: own.map(({ alarm }) => visible(alarmNames[String(alarm)] ?? String(alarm), shownCharactersMax)),
      };
    });
  };
  const hashKv: EtcdClient['hashKv'] = async ({ name, endpoint = '' }, revision, signal) => {
    const end = await ask(endpoint, ['endpoint', 'hashkv', `--rev=${revision}`], hashTimeoutMs, signal);
    // It is a look at a member that may be behind for a moment.
    if (end.reason.includes('required revision is a future revision')) return undefined;
    const answer = hashAnswer.safeParse(end.code === 0 ? readAnswer(end.stdout) : undefined).data?.[0]?.HashKV;
    if (!answer) throw unreachable(name, 'endpoint hashkv', end.code === 0 ? 'its answer cannot be read' : end.reason);
    return { hash: answer.hash, hashRevision: answer.hash_revision, compactRevision: answer.compact_revision };
  };
  const tell: EtcdClient['tell'] = ({ endpoint = '' }, command, timeoutMs, signal) => ask(endpoint, command, timeoutMs, signal);
  return { members, hashKv, tell, command: async ({ endpoint = '' }) => ({ file: await file(), flags: flagsOf(access, endpoint) }) };
}

/** Certificates are given by the paths of their files: nothing secret is among the arguments, which everybody on the machine can read. */
function flagsOf({ tls }: EtcdAccess, endpoint: string): string[] {
  return [
    `--endpoints=${endpoint}`,
    ...(tls ? [`--cacert=${tls.certificateAuthority}`] : []),
    ...(tls?.certificate === undefined ? [] : [`--cert=${tls.certificate}`]),
    ...(tls?.key === undefined ? [] : [`--key=${tls.key}`]),
  ];
}

/** Ids of members have up to twenty digits, which a number of JavaScript does not hold: they are read as texts. */
function readAnswer(text: string): unknown {
  return parseJson(text.replaceAll(/(?<!\\)":(\d{16,})(?=[,}])/g, '":"$1"'));
}

function statusOf(answer: z.output<typeof statusAnswer>[number]['Status']): EtcdStatus {
  return {
    clusterId: answer.header.cluster_id,
    version: visible(answer.version, shownCharactersMax),
    revision: answer.header.revision,
    raftIndex: answer.raftIndex,
    raftAppliedIndex: answer.raftAppliedIndex,
    leader: answer.leader,
    sizeBytes: answer.dbSize,
    usedBytes: answer.dbSizeInUse,
    errors: answer.errors.map((error) => visible(error, shownCharactersMax)),
  };
}
