import { boundSeconds } from './bound.ts';
import { clear, makeReady, podsToMove, setOut } from './cluster.ts';
import type { Contender } from './contenders.ts';
import { drainedNodes, namespace, type Scenario } from './scenarios.ts';
import type { Environment } from './environment.ts';
import { startWitness, type Testimony } from './witness.ts';

/** What one contender did in one round of a scenario. */
export interface Turn extends Testimony {
  contender: Contender['name'];
  round: number;
  /** From the start of the first program to the end of the last. */
  seconds: number;
  pods: number;
  /** What it takes at least in the order of evictions that was chosen. */
  boundSeconds: number;
  /** By verb and resource. */
  requests: Record<string, number>;
}

/** Brings the cluster to the beginning, has the contender drain it, and looks whether it has. */
export async function takeTurn(environment: Environment, scenario: Scenario, contender: Contender, round: number): Promise<Turn> {
  const { plane, proxy, podFates } = environment;
  await setOut(plane.request, podFates, scenario, round);
  const nodes = drainedNodes(scenario);
  const pods = await podsToMove(plane.request, scenario);
  const { server: url, certificateAuthority, token } = plane;
  const witness = await startWitness({ url, certificateAuthority, token }, namespace, nodes);
  proxy.takeCounts();
  const openings = openBudgets(environment, scenario);
  const begunAt = performance.now();
  await contender.drain(nodes);
  const seconds = (performance.now() - begunAt) / 1000;
  const requests = proxy.takeCounts();
  await openings;
  const testimony = witness.testify();
  const left = await podsToMove(plane.request, scenario);
  if (left > 0) throw new Error(`${contender.name} says that it is done, but ${left} of ${pods} pods are still on the nodes.`);
  await clear(plane.request);
  const bound = boundSeconds(scenario, round, testimony.evicted);
  return { ...testimony, boundSeconds: bound, contender: contender.name, round, seconds, pods, requests };
}

/** Resolves when the last budget of the scenario has been opened, each at its time from now. */
async function openBudgets({ plane }: Environment, { workloads }: Scenario): Promise<void> {
  await Promise.all(
    workloads.map(async ({ name, opensAfterSeconds }) => {
      if (opensAfterSeconds === undefined) return;
      await new Promise((resolve) => setTimeout(resolve, opensAfterSeconds * 1000));
      await makeReady(plane.request, name);
    }),
  );
}
