import type { Observation } from '../../domain/action.ts';
import { formatTarget } from '../../domain/target.ts';
import { actions } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, type AnyAction } from '../action.ts';
import type { Clients } from '../clients.ts';
import { createEtcdClient } from './client.ts';
import { isListening, machineOf, requireHere, runOnMachine, type MachineFacts } from './machine.ts';

const estimateMs = 5_000;

/** `etcd.stopMember`: etcd of one member is ended, on its machine. */
export function stopMemberAction(clients: Clients): AnyAction {
  return memberAction(clients, 'etcd.stopMember', 'stop', async ({ member }) => [{ uses: 'etcd.startMember', with: { member } }]);
}

/** `etcd.startMember`: etcd of one member is started, on its machine. */
export function startMemberAction(clients: Clients): AnyAction {
  return memberAction(clients, 'etcd.startMember', 'start', async ({ member }, context) => {
    const members = await createEtcdClient(await clients.etcd(context.target), context.target)
      .members(context.signal)
      .catch(() => []);
    // Without a leader nobody was told that anything is written.
    if (members.some(({ status }) => status !== undefined && status.leader !== '0')) {
      return {
        noUndo: `${member} serves: what was written since it was started would be lost. Its old data are kept beside the new ones.`,
      };
    }
    return [{ uses: 'etcd.stopMember', with: { member } }];
  });
}

type Undoing = Parameters<typeof defineAction<{ member: string }, MachineFacts>>[0]['undo'];

function memberAction(
  clients: Clients,
  name: 'etcd.startMember' | 'etcd.stopMember',
  which: 'start' | 'stop',
  undoing: (facts: MachineFacts, context: Parameters<Undoing>[1]) => ReturnType<Undoing>,
): AnyAction {
  return defineAction<{ member: string }, MachineFacts>({
    declaration: actions[name],
    plan: async ({ member }, { target }) => {
      const facts = machineOf(await clients.etcd(target), target, member);
      const command = facts.machine[which].join(' ');
      return {
        ...emptyPlan(facts),
        effects: [{ object: `Member/${member}`, change: `${which === 'start' ? 'start etcd' : 'end etcd'}: ${command}` }],
        risks: which === 'stop' ? [{ object: formatTarget(target), risk: `${member} serves nobody until it is started again.` }] : [],
        estimateMs,
      };
    },
    observe: async ({ facts }, context): Promise<Observation> => {
      await requireHere(clients, facts, context, name);
      const listens = await isListening(facts, context.target);
      const summary = `${facts.member} ${listens ? 'runs' : 'has ended'}`;
      const isDone = listens === (which === 'start');
      const progress = { summary, done: isDone ? 1 : 0, total: 1, unit: 'members', items: [] };
      return isDone ? { state: 'done', outputs: {}, progress } : { state: 'todo', progress, untouched: true };
    },
    act: async ({ facts }, context) => {
      await requireHere(clients, facts, context, name);
      await runOnMachine(which, facts, context);
    },
    undo: async ({ facts }, context, seen) => {
      if (isUntouched(seen)) return { nothing: `${facts.member} ${which === 'start' ? 'was not started' : 'was not ended'}.` };
      return undoing(facts, context);
    },
  });
}
