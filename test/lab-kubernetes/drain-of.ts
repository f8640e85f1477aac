import { contextOfLook } from '../../activities/action.ts';
import { connectByKubeconfig } from '../../activities/kubernetes/client/kubeconfig.ts';
import { drainAction } from '../../activities/kubernetes/drain/drain.ts';
import { onlyKubernetes } from '../../activities/kubernetes/only-kubernetes.ts';
import { perform, type Performance } from '../../activities/perform.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import { labKubeconfig } from './real-world.ts';

const limitMs = 100_000;
const waitMaxMs = 500;

/** A drain of nodes of the real control plane, as `holdpoint drain` and runs carry it out. */
export function drainOf(nodes: readonly string[]): {
  plan(settings?: object): Promise<ActionPlan>;
  carryOut(plan: ActionPlan): Promise<Performance>;
} {
  const { apis, cluster } = connectByKubeconfig({ kubeconfig: labKubeconfig(), env: {} });
  const action = drainAction(onlyKubernetes(apis));
  const target = { kind: 'kubernetes' as const, region: '', name: cluster };
  const context = contextOfLook({ run: 'r-lab-drain', step: 's', target, retry: 0 });
  return {
    plan: (settings = {}) => action.plan({ nodes: [...nodes], ...settings }, context),
    carryOut: (plan) =>
      perform(action, plan, context, {
        onProgress: () => undefined,
        signal: AbortSignal.timeout(limitMs),
        wait: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, waitMaxMs))),
      }),
  };
}
