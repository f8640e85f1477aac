import type { ActionContext, Progress } from '../../domain/action.ts';
import { isFragmented, nextTurn, unusedPercentOf, withoutNoSpace, type FragmentationRule } from '../../domain/etcd/defragmentation.ts';
import { problemsOfMembers, type EtcdMember } from '../../domain/etcd/members.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { formatTarget } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { parseDurationMs } from '../../runbooks/configuration/duration.ts';
import { defineAction, emptyPlan, stuckError, type AnyAction } from '../action.ts';
import type { Clients } from '../clients.ts';
import { createEtcdClient, type EtcdClient } from './client.ts';

const name = 'etcd.defragment';
/** A member serves nobody meanwhile: 5 to 8 s for 314 MB on an idle disk. */
const bytesPerMsExpected = 40_000;
const bytesPerMsMin = 1_000;
const defragmentTimeoutMinMs = 60_000;
const moveTimeoutMs = 10_000;
/** How long a member may take to be well again, and a cluster to agree on its leader, before a person has to look. */
const wellTimeoutMs = 120_000;
const lookMs = 1_000;

type DefragmentFacts = {
  clusterId: string;
  members: { id: string; name: string }[];
  unusedPercentMin: number;
  sizeBytesMin: number;
  settle: string;
  lagMax: number;
};

/** `etcd.defragment`: one member after another, followers first, the leader once it is none; all have to be well in between. */
export function defragmentAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, DefragmentFacts>({
    declaration: actions[name],
    plan: async ({ unusedPercentMin, sizeMin, settle, lagMax }, { target, signal }) => {
      const members = await createEtcdClient(await clients.etcd(target), target).members(signal);
      const rule = { unusedPercentMin, sizeBytesMin: sizeMin };
      const worthIt = members.filter(({ status }) => status && isFragmented(status, rule));
      const object = formatTarget(target);
      const full = members.filter(({ alarms }) => alarms.includes('NOSPACE'));
      const clusterId = members.find(({ status }) => status)?.status?.clusterId ?? '';
      const named = worthIt.map(({ id, name: member }) => ({ id, name: member }));
      const effects = worthIt.map(({ name: member }) => ({ object: `Member/${member}`, change: 'defragment; it serves nobody meanwhile' }));
      const handOver = { object, change: 'move the leadership to a follower before the turn of the leader' };
      return {
        ...emptyPlan({ clusterId, members: named, ...rule, settle, lagMax }),
        effects: effects.length > 0 && members.length > 1 ? [...effects, handOver] : effects,
        risks: members.length === 1 && effects.length > 0 ? [{ object, risk: 'It has one member: nobody is served meanwhile.' }] : [],
        blockers: problemsOf(members, lagMax).map(({ member, reason, remedy }) => ({ object: `${object}/${member}`, reason, remedy })),
        notes: [
          ...members.map(inWords),
          ...full.map(({ name: member }) => `${member} has the alarm NOSPACE; when there is room, disarm it (\`etcdctl alarm disarm\`).`),
        ],
        outputs: { defragmented: worthIt.length },
        estimateMs: worthIt.reduce((sum, { status }) => sum + (status?.sizeBytes ?? 0) / bytesPerMsExpected + settleMsOf({ settle }), 0),
      };
    },
    observe: async ({ facts }, context) => {
      const members = await plannedMembers(clients, facts, context);
      const left = leftOf(members, facts, context);
      const progress = progressOf(facts, left.length);
      if (left.length > 0) return { state: 'todo', progress };
      // It is over when all are well again, and not when the last one was asked.
      if (problemsOf(members, facts.lagMax).length > 0 && context.acted) return { state: 'moving', progress };
      return { state: 'done', outputs: { defragmented: facts.members.length }, progress };
    },
    act: async ({ facts }, context) => {
      const client = createEtcdClient(await clients.etcd(context.target), context.target);
      await untilWell(client, facts, context);
      const members = await plannedMembers(clients, facts, context);
      const turn = nextTurn(members, leftOf(members, facts, context));
      if (!turn) return;
      if ('handTo' in turn) await handOver(client, turn, context);
      else await defragment(client, turn.defragment, facts, context);
    },
    undo: async () => ({ nothing: 'The keys are what they were; only room in the files was given back.' }),
  });
}

function inWords({ name: member, status }: EtcdMember): string {
  if (!status) return `${member} does not answer.`;
  return `${member} has a file of ${status.sizeBytes} bytes, of which ${unusedPercentOf(status).toFixed(0)} % are unused.`;
}

function problemsOf(members: readonly EtcdMember[], lagMax: number): ReturnType<typeof problemsOfMembers> {
  return problemsOfMembers(withoutNoSpace(members), lagMax);
}

function settleMsOf({ settle }: Pick<DefragmentFacts, 'settle'>): number {
  return parseDurationMs(settle) ?? 0;
}

function progressOf({ members }: DefragmentFacts, left: number): Progress {
  const done = members.length - left;
  return { summary: `${done} of ${members.length} members defragmented`, done, total: members.length, unit: 'members', items: [] };
}

/** The members as they are now. Throws `plan-does-not-cover` where they are those of another cluster, or one of the plan is gone. */
async function plannedMembers(clients: Clients, facts: DefragmentFacts, { target, signal }: ActionContext): Promise<EtcdMember[]> {
  const members = await createEtcdClient(await clients.etcd(target), target).members(signal);
  const missing = facts.members.find(({ id }) => !members.some((member) => member.id === id));
  const other = members.find(({ status }) => status && status.clusterId !== facts.clusterId)?.status?.clusterId;
  const cause = other !== undefined ? `its endpoints lead to the cluster ${other}` : missing && `the member ${missing.name} is gone`;
  if (cause !== undefined) throw new HoldpointError('plan-does-not-cover', { action: name, cause });
  return members;
}

/** Those of the plan that are still fragmented, and were not done by this step: a busy member may be fragmented again at once. */
function leftOf(members: readonly EtcdMember[], facts: DefragmentFacts, { checkpoint }: ActionContext): string[] {
  const done = doneIn(checkpoint);
  const rule: FragmentationRule = facts;
  const isLeft = (id: string): boolean => {
    const status = members.find((member) => member.id === id)?.status;
    return !done.includes(id) && (status === undefined || isFragmented(status, rule));
  };
  return facts.members.map(({ id }) => id).filter(isLeft);
}

function doneIn(checkpoint: ActionContext['checkpoint']): string[] {
  const kept = checkpoint.read();
  return Array.isArray(kept) ? kept.filter((id): id is string => typeof id === 'string') : [];
}

async function defragment(client: EtcdClient, member: EtcdMember, facts: DefragmentFacts, context: ActionContext): Promise<void> {
  const { checkpoint, report, signal, target, wait } = context;
  report({ ...progressOf(facts, facts.members.length - doneIn(checkpoint).length), summary: `${member.name} is defragmented` });
  const timeoutMs = Math.max(defragmentTimeoutMinMs, (member.status?.sizeBytes ?? 0) / bytesPerMsMin);
  const { code, reason } = await client.tell(member, ['defrag'], timeoutMs, signal);
  if (code !== 0) {
    throw new HoldpointError('etcd-unreachable', { member: member.name, target: formatTarget(target), call: 'defrag', cause: reason });
  }
  checkpoint.write([...doneIn(checkpoint), member.id]);
  await untilWell(client, facts, context);
  for (let leftMs = settleMsOf(facts); leftMs > 0 && !signal.aborted; leftMs -= lookMs) await wait(Math.min(leftMs, lookMs));
}

async function handOver(
  client: EtcdClient,
  { leader, handTo }: { leader: EtcdMember; handTo: EtcdMember },
  { signal, target }: ActionContext,
): Promise<void> {
  // Only the leader itself hands over; etcdctl takes ids in hexadecimal digits.
  const { code, reason } = await client.tell(leader, ['move-leader', BigInt(handTo.id).toString(16)], moveTimeoutMs, signal);
  if (code !== 0) {
    throw new HoldpointError('etcd-unreachable', { member: leader.name, target: formatTarget(target), call: 'move-leader', cause: reason });
  }
}

/** Waits until every member is well. Throws `action-stuck` with the first that is not after two minutes. */
async function untilWell(client: EtcdClient, { lagMax }: DefragmentFacts, { signal, wait }: ActionContext): Promise<void> {
  const giveUpAtMs = performance.now() + wellTimeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const [problem] = problemsOf(await client.members(signal), lagMax);
    if (!problem) return;
    const { member, reason, remedy } = problem;
    if (performance.now() > giveUpAtMs) throw stuckError({ state: 'stuck', reason: `${member}: ${reason}`, remedy });
    await wait(lookMs);
  }
}
