import type { ActionContext, Observation } from '../../domain/action.ts';
import { problemsOfMembers, type EtcdMember } from '../../domain/etcd/members.ts';
import { hexadecimal, stageOf, type ReplacementStage } from '../../domain/etcd/replacement.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { formatTarget } from '../../domain/target.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction } from '../action.ts';
import type { Clients } from '../clients.ts';
import { createEtcdClient, type EtcdClient } from './client.ts';

const name = 'etcd.replaceMember';
const estimateMs = 10 * 60_000;
const commandTimeoutMs = 10_000;
const stages: ReplacementStage['stage'][] = ['remove', 'add', 'start', 'catch-up', 'promote', 'done'];

type ReplaceFacts = { clusterId: string; outgoingId: string; outgoing: string; name: string; peerUrl: string; lagMax: number };

/**
 * `etcd.replaceMember`: the old member goes, the new one comes as a learner, which does not vote, and votes when it has caught up. What is
 * done next is read from the list of members alone.
 */
export function replaceMemberAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, ReplaceFacts>({
    declaration: actions[name],
    plan: async ({ member, name: incoming, peerUrl, lagMax }, { target, signal }) => {
      const members = await createEtcdClient(await clients.etcd(target), target).members(signal);
      const outgoing = members.find(({ id, name: own }) => own === member || hexadecimal(id) === member);
      const others = members.filter((one) => one !== outgoing);
      const successor = others.find(({ name: own, peerUrls = [] }) => own === incoming && peerUrls.includes(peerUrl));
      const isOver = outgoing === undefined && successor?.isLearner === false;
      const object = `Member/${outgoing?.name ?? member}`;
      const facts = {
        ...{ clusterId: others.find(({ status }) => status)?.status?.clusterId ?? '', outgoingId: outgoing?.id ?? '' },
        ...{ outgoing: outgoing?.name ?? member, name: incoming, peerUrl, lagMax },
      };
      const remove = { object, change: 'remove from the cluster', ...(outgoing && { before: hexadecimal(outgoing.id) }), after: 'gone' };
      const add = { object: `Member/${incoming}`, change: 'add as a learner, and let it vote once it has caught up', after: { peerUrl } };
      return {
        ...emptyPlan(facts),
        effects: isOver ? [] : [...(outgoing ? [remove] : []), add],
        risks: isOver ? [] : [{ object: formatTarget(target), risk: riskOf(others) }],
        blockers: isOver ? [] : blockersOf({ target: formatTarget(target), member, outgoing, others, peerUrl, lagMax }),
        notes: isOver ? [] : [`Have an empty data directory ready for ${incoming}: it is started when the step says so.`],
        outputs: { member: incoming },
        estimateMs: isOver ? 0 : estimateMs,
      };
    },
    observe: async ({ facts }, context) => observationOf(await plannedMembers(clients, facts, context), facts),
    act: async ({ facts }, context) => {
      const members = await plannedMembers(clients, facts, context);
      const client = createEtcdClient(await clients.etcd(context.target), context.target);
      await push(client, members, stageOf(members, facts, facts.lagMax), facts, context);
    },
    undo: async ({ facts }, _context, seen) => {
      if (isUntouched(seen)) return { nothing: 'No member was removed.' };
      return { noUndo: `${facts.outgoing} was removed, and cannot come back with its old data; bring the new member to its end.` };
    },
  });
}

function riskOf(others: readonly EtcdMember[]): string {
  const voters = others.filter(({ isLearner }) => !isLearner).length;
  const spare = voters - (Math.floor(voters / 2) + 1);
  if (spare > 0) return `Until the new member votes, the cluster stands the failure of ${spare} of its ${voters} other members.`;
  return `Until the new member votes, every one of the ${voters} other members is needed: if one fails, the cluster takes no writes.`;
}

interface Circumstances {
  target: string;
  member: string;
  outgoing: EtcdMember | undefined;
  others: readonly EtcdMember[];
  peerUrl: string;
  lagMax: number;
}

/** The others have to be well, whatever the member is that goes. */
function blockersOf({ target, member, outgoing, others, peerUrl, lagMax }: Circumstances): Blocker[] {
  const blockers = problemsOfMembers(others, lagMax).map(({ member: one, reason, remedy }) => {
    return { object: `${target}/${one}`, reason, remedy };
  });
  const object = `Member/${member}`;
  const names = others.map(({ name: one, id }) => `${one} (${hexadecimal(id)})`).join(', ');
  if (!outgoing) blockers.push({ object, reason: 'There is no such member.', remedy: `Name one of ${names}.` });
  if (outgoing && others.length === 0) {
    blockers.push({ object, reason: 'It is the only member: its data would be gone.', remedy: 'Add another member first.' });
  }
  const taken = others.find(({ peerUrls = [] }) => peerUrls.includes(peerUrl));
  if (taken) {
    blockers.push({ object, reason: `${peerUrl} is the peer address of ${taken.name}.`, remedy: 'Name the address of the new member.' });
  }
  return blockers;
}

/** Throws `plan-does-not-cover` where the endpoints lead to another cluster than the planned one. */
async function plannedMembers(clients: Clients, facts: ReplaceFacts, { target, signal }: ActionContext): Promise<EtcdMember[]> {
  const members = await createEtcdClient(await clients.etcd(target), target).members(signal);
  const rest = members.filter(({ id }) => id !== facts.outgoingId);
  const other = rest.find(({ status }) => status && status.clusterId !== facts.clusterId)?.status?.clusterId;
  if (other === undefined) return members;
  throw new HoldpointError('plan-does-not-cover', { action: name, cause: `its endpoints lead to the cluster ${other}` });
}

function observationOf(members: readonly EtcdMember[], facts: ReplaceFacts): Observation {
  const at = stageOf(members, facts, facts.lagMax);
  const summary = summaryOf(at, members, facts);
  const progress = { summary, done: stages.indexOf(at.stage), total: stages.length - 1, unit: 'stages', items: [] };
  if (at.stage === 'done') return { state: 'done', outputs: { member: at.incoming.name }, progress };
  if (at.stage === 'start' || at.stage === 'catch-up') return { state: 'moving', progress };
  return { state: 'todo', progress, untouched: at.stage === 'remove' };
}

function summaryOf(at: ReplacementStage, members: readonly EtcdMember[], { name: incoming, peerUrl, outgoing }: ReplaceFacts): string {
  switch (at.stage) {
    case 'remove':
      return `${outgoing} is a member`;
    case 'add':
      return `${outgoing} is removed`;
    case 'start': {
      if (at.incoming.silence !== undefined) return `${incoming} does not answer: ${at.incoming.silence}`;
      const rest = members.filter((member) => member !== at.incoming).map((member) => `${member.name}=${member.peerUrls?.[0] ?? ''}`);
      const initial = [...rest, `${incoming}=${peerUrl}`].join(',');
      const flags = `--name=${incoming} --initial-cluster-state=existing --initial-cluster=${initial}`;
      return `start etcd over an empty data directory with ${flags}; \`endpoints\` of holdpoint.yaml must have its client address`;
    }
    case 'catch-up':
      return `${incoming} is a learner, and catches up`;
    case 'promote':
      return `${incoming} has caught up`;
    case 'done':
      return `${incoming} votes`;
  }
}

async function push(
  client: EtcdClient,
  members: readonly EtcdMember[],
  at: ReplacementStage,
  { name: incoming, peerUrl, lagMax }: ReplaceFacts,
  { signal, target }: ActionContext,
): Promise<void> {
  const rest = members.filter((member) => at.stage !== 'remove' || member !== at.outgoing);
  const tell = async (member: EtcdMember | undefined, ...command: string[]): Promise<void> => {
    if (!member) throw stuckError({ state: 'stuck', reason: 'No other member answers.', remedy: 'Bring the other members back.' });
    const { code, reason } = await client.tell(member, command, commandTimeoutMs, signal);
    if (code === 0) return;
    const call = command.slice(0, 2).join(' ');
    throw new HoldpointError('etcd-unreachable', { member: member.name, target: formatTarget(target), call, cause: reason });
  };
  const voter = rest.find(({ isLearner, status }) => !isLearner && status !== undefined);
  if (at.stage === 'remove') {
    // The plan may be days old.
    const [problem] = problemsOfMembers(rest, lagMax);
    if (problem) throw stuckError({ state: 'stuck', reason: `${problem.member}: ${problem.reason}`, remedy: problem.remedy });
    // A leader that is removed has writes wait for an election.
    if (at.outgoing.status?.leader === at.outgoing.id && voter) await tell(at.outgoing, 'move-leader', hexadecimal(voter.id));
    await tell(voter, 'member', 'remove', hexadecimal(at.outgoing.id));
  } else if (at.stage === 'add') await tell(voter, 'member', 'add', incoming, '--learner', `--peer-urls=${peerUrl}`);
  else if (at.stage === 'promote') await tell(voter, 'member', 'promote', hexadecimal(at.incoming.id));
}
