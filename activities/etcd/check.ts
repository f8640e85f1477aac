import type { Progress } from '../../domain/action.ts';
import { formatTarget } from '../../domain/target.ts';
import { counted } from '../../domain/text.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import type { Clients } from '../clients.ts';
import { createEtcdClient } from './client.ts';
import { lookAtHealth } from './health.ts';

const name = 'etcd.check';
const estimateMs = 2_000;

type CheckFacts = { clusterId: string; members: string[]; lagMax: number };

/** `etcd.check`: every member is well, and all of them have the same keys. */
export function checkAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, CheckFacts>({
    declaration: actions[name],
    plan: async ({ lagMax }, { target, signal }) => {
      const client = createEtcdClient(await clients.etcd(target), target);
      const { members, problems, clusterId, revision } = await lookAtHealth(client, lagMax, signal);
      return {
        ...emptyPlan({ clusterId, members: members.map((member) => member.name).sort(), lagMax }),
        blockers: problems.map(({ member, reason, remedy }) => ({ object: `${formatTarget(target)}/${member}`, reason, remedy })),
        details: { revision },
        estimateMs,
      };
    },
    observe: async ({ facts }, { target, signal }) => {
      const client = createEtcdClient(await clients.etcd(target), target);
      const { members, problems, clusterId, revision } = await lookAtHealth(client, facts.lagMax, signal);
      const progress: Progress = {
        summary: `${counted(members.length, 'member')}, ${counted(problems.length, 'problem')} at revision ${revision}`,
        done: members.length,
        total: members.length,
        unit: 'members',
        items: [],
      };
      const [first] = problems;
      if (first) return { state: 'stuck', reason: `${first.member}: ${first.reason}`, remedy: first.remedy, progress };
      return { state: 'done', outputs: { clusterId, revision }, progress };
    },
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}
