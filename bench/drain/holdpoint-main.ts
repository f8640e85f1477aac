import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { KubeConfig } from '@kubernetes/client-node';
import { contextOfLook } from '../../activities/action.ts';
import type { Clients } from '../../activities/clients.ts';
import { apisOf } from '../../activities/kubernetes/client/connect.ts';
import { drainAction } from '../../activities/kubernetes/drain/drain.ts';
import { perform } from '../../activities/perform.ts';

/**
 * `--kubeconfig FILE NODE…`: plans and performs `kubernetes.drain` of the nodes, all at once, and ends, as `kubectl drain` does:
 * what a worker does in a step of a run, without the run around it. Prints how long each took as a line of JSON.
 */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { kubeconfig: { type: 'string', default: '' } }, allowPositionals: true });
  const action = drainAction(clientsOf(values.kubeconfig));
  const context = { run: 'r-bench', step: 'drain', target: { kind: 'eks', region: 'bench', name: 'bench' } as const, retry: 0 };
  const begunAt = performance.now();
  const input = { nodes: positionals, nodesAtOnce: positionals.length };
  const plan = await action.plan(input, contextOfLook(context));
  if (plan.blockers.length > 0) throw new Error(`the plan is blocked: ${JSON.stringify(plan.blockers)}`);
  const plannedAt = performance.now();
  const { acts, passed, summary } = await perform(action, plan, context, {
    onProgress: () => undefined,
    signal: new AbortController().signal,
    wait: async (ms) => wait(ms),
  });
  const loadedMs = Math.round(begunAt);
  const [planMs, performMs] = [plannedAt - begunAt, performance.now() - plannedAt].map(Math.round);
  const cpuMs = Math.round((process.cpuUsage().user + process.cpuUsage().system) / 1000);
  console.log(JSON.stringify({ loadedMs, planMs, performMs, cpuMs, acts, passed, summary }));
}

/** The clients of a worker, but for the cluster that a kubeconfig names. */
function clientsOf(kubeconfig: string): Clients {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const apis = apisOf(config, config.getCurrentCluster()?.server ?? '', 'the benchmark');
  const none = (): never => {
    throw new Error('a drain needs no AWS');
  };
  return { eks: none, ec2: none, kubernetes: async () => apis };
}

await main();
