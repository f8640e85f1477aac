import { DescribeInsightsRefreshCommand, StartInsightsRefreshCommand, type DescribeInsightsRefreshResponse } from '@aws-sdk/client-eks';
import type { ActionContext, Observation } from '../../../domain/action.ts';
import type { Target } from '../../../domain/target.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { readCluster } from '../cluster.ts';

/** EKS says some minutes. */
const estimateMs = 3 * 60_000;

/** What EKS has looked at in the last so many milliseconds needs no other look. */
const freshMs = 2 * 60_000;

type Facts = { cluster: string };

/** `eks.refreshInsights`: EKS looks anew at what speaks against an upgrade or a rollback; by itself it does so once a day. */
export function refreshInsightsAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<'eks.refreshInsights'>, Facts>({
    declaration: actions['eks.refreshInsights'],
    plan: async (_input, { target }) => {
      const cluster = await readCluster(clients, target);
      return {
        ...emptyPlan<Facts>({ cluster: cluster.arn ?? '' }),
        // Also where EKS has just looked: how long ago that is must not change the plan that people sign.
        effects: [{ object: `Cluster/${target.name}`, change: 'have EKS look anew at what speaks against a change of its version' }],
        estimateMs,
      };
    },
    observe: (_plan, context) => observeRefresh(clients, context),
    act: async (_plan, { target, checkpoint }) => {
      await startRefresh(clients, target);
      checkpoint.write({ asked: true });
    },
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

async function observeRefresh(clients: Clients, { target, acted, checkpoint }: ActionContext): Promise<Observation> {
  const latest = await describeRefresh(clients, target);
  const { status, endedAt, message } = latest;
  const progress = { summary: status === 'IN_PROGRESS' ? 'EKS is looking' : 'not begun', done: 0, total: 1, unit: 'refreshes', items: [] };
  if (status === 'IN_PROGRESS') return { state: 'moving', progress };
  // One that ended before this step has asked may have looked at what has changed since.
  if (!acted && checkpoint.read() === undefined && !isFresh(latest)) return { state: 'todo', progress };
  if (status === 'COMPLETED') {
    return {
      state: 'done',
      outputs: {},
      progress: { ...progress, summary: `refreshed at ${endedAt?.toISOString() ?? 'an unknown time'}`, done: 1 },
    };
  }
  if (status !== 'FAILED') return { state: 'moving', progress: { ...progress, summary: 'asked for, not seen yet' } };
  if (!acted) return { state: 'todo', progress };
  const reason = `EKS could not refresh the insights of ${target.name}: ${message ?? 'it gives no reason'}`;
  return {
    state: 'stuck',
    reason,
    remedy: 'Try again (`holdpoint retry`). If it fails again, look at the health of the cluster.',
    progress,
  };
}

function isFresh({ status, endedAt }: DescribeInsightsRefreshResponse): boolean {
  return status === 'COMPLETED' && endedAt !== undefined && Date.now() - endedAt.getTime() < freshMs;
}

async function describeRefresh(clients: Clients, target: Target): Promise<DescribeInsightsRefreshResponse> {
  return clients
    .eks(target.region)
    .send(new DescribeInsightsRefreshCommand({ clusterName: target.name }))
    .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeInsightsRefresh', target)));
}

/** One that somebody else has begun meanwhile looks at the same things. */
async function startRefresh(clients: Clients, target: Target): Promise<void> {
  try {
    await clients.eks(target.region).send(new StartInsightsRefreshCommand({ clusterName: target.name }));
  } catch (error) {
    const known = awsError(error, 'StartInsightsRefresh', target);
    if (known.code === 'aws-refused' && (await describeRefresh(clients, target)).status === 'IN_PROGRESS') return;
    throw known;
  }
}
