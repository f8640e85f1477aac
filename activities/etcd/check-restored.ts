import type { ActionContext, Observation } from '../../domain/action.ts';
import { lagEntriesMax } from '../../domain/etcd/members.ts';
import { bumpRevisionFor } from '../../domain/etcd/restore.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import type { Clients } from '../clients.ts';
import { openBackups } from './backup.ts';
import { chosen } from './choose-backup.ts';
import { createEtcdClient } from './client.ts';
import { lookAtHealth } from './health.ts';

const name = 'etcd.checkRestored';
const estimateMs = 10_000;
/** How long members may take to elect a leader and to answer, once all of them are started. */
const settleTimeoutMs = 5 * 60_000;

type CheckFacts = { members: string[]; clusterIdBefore: string; revisionMin: number };

/** `etcd.checkRestored`: every restored member is well, all have the same keys, and no revision is one that a client has seen. */
export function checkRestoredAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, CheckFacts>({
    declaration: actions[name],
    plan: async ({ backup: wanted }, { target }) => {
      const { access, store } = await openBackups(clients, target);
      const { revision = 0, clusterId = '' } = chosen(await store.list(), wanted)?.manifest.statement ?? {};
      const members = Object.keys(access.members ?? {}).sort();
      return {
        ...emptyPlan({ members, clusterIdBefore: clusterId, revisionMin: revision + bumpRevisionFor(revision) }),
        notes: ['The restored cluster has another id: give it another directory or prefix for its backups (`backups` in holdpoint.yaml).'],
        estimateMs,
      };
    },
    observe: async ({ facts }, context) => {
      const { problem, clusterId, revision } = await lookAtRestored(clients, facts, context);
      const summary = problem ?? `${facts.members.length} members are well and have the same keys, at revision ${revision}`;
      const progress = { summary, done: problem === undefined ? 1 : 0, total: 1, unit: 'clusters', items: [] };
      if (problem === undefined) return { state: 'done', outputs: { clusterId, revision }, progress };
      return waitingFor(problem, context, { state: 'moving', progress });
    },
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

async function lookAtRestored(
  clients: Clients,
  { members, clusterIdBefore, revisionMin }: CheckFacts,
  { target, signal }: ActionContext,
): Promise<{ problem?: string; clusterId: string; revision: number }> {
  try {
    const health = await lookAtHealth(createEtcdClient(await clients.etcd(target), target), lagEntriesMax, signal);
    const { clusterId, revision, problems } = health;
    const [first] = problems;
    const found = health.members.map((member) => member.name).sort();
    const problem =
      (first && `${first.member}: ${first.reason}`) ??
      (found.join() === members.join() ? undefined : `Its members are ${found.join(', ')}, and not ${members.join(', ')}.`) ??
      (clusterId === clusterIdBefore ? `It is the old cluster ${clusterId}.` : undefined) ??
      (revision < revisionMin ? `Its revision ${revision} is below ${revisionMin}: clients may have seen it before.` : undefined);
    return { ...(problem !== undefined && { problem }), clusterId, revision };
  } catch (error) {
    if (!(error instanceof HoldpointError) || error.consequence !== 'retry') throw error;
    return { problem: error.message, clusterId: '', revision: 0 };
  }
}

/** Members need a moment to find each other; after some minutes a person has to look. */
function waitingFor(problem: string, { checkpoint }: ActionContext, moving: Observation): Observation {
  const sinceMs = checkpoint.read();
  if (typeof sinceMs !== 'number') checkpoint.write(Date.now());
  else if (Date.now() - sinceMs > settleTimeoutMs) {
    const remedy =
      'Look at the logs of the members; let no client in before all of them are well. The old data are kept beside the new ones.';
    return { state: 'stuck', reason: problem, remedy, ...(moving.progress && { progress: moving.progress }) };
  }
  return moving;
}
