import type { RunbookDocument } from '../../domain/runbook.ts';
import { Holdpoint } from '../../client/holdpoint.ts';
import type { HoldState, RunState } from '../../domain/run/state.ts';
import type { Signer } from '../../client/signing.ts';
import type { Person } from '../../test/support/people.ts';
import type { RunResult } from '../../workflows/messages.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { approvalToActivityMs, endsWell, type Contender } from './contender.ts';
import type { Environment } from './environment.ts';
import { nodeNames, region } from './world.ts';

/** The cheapest runbook that is one: a look, a hold for two people, and a change of one object. */
const document: RunbookDocument = {
  file: 'parked.yaml',
  text: `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: parked, title: Cordon one node }
inputs:
  type: object
  required: [cluster, node]
  properties: { cluster: { type: string }, node: { type: string } }
target: eks/${region}/\${inputs.cluster}
steps:
  - { id: preflight, uses: eks.preflight }
  - { id: sign, hold: two-people, question: 'Cordon \${inputs.node}?' }
  - { id: cordon, uses: kubernetes.cordon, with: { nodes: ['\${inputs.node}'] } }
`,
};

/** Our side: planned, started, signed by two people and looked at through the client that the command line uses. */
export function holdpointContender({ client, keys, ours: { settings, worker } }: Environment): Contender {
  const holdpoint = new Holdpoint(client, settings);
  const node = nodeNames().ours;
  const targetOf = (cluster: string): string => `eks/${region}/${cluster}`;
  const sign = async (cluster: string, person: Person): Promise<number> => {
    const target = targetOf(cluster);
    const state = await holdpoint.state(target);
    if (!state.hold) throw new Error(`the run on ${target} is at no hold`);
    return decide(holdpoint, state, state.hold, keys[person]);
  };
  return {
    workerPid: worker.pid,
    start: async (cluster) => {
      const forecast = await holdpoint.plan(document, { cluster, node });
      const { admission } = await holdpoint.start(document, forecast, keys.dana);
      if (!admission.admitted) throw new Error(`the run on ${targetOf(cluster)} was refused: ${admission.reason}`);
    },
    holding: async () => {
      const query = `TaskQueue = '${settings.taskQueue}' AND ExecutionStatus = 'Running' AND ${searchAttributes.phase} = 'holding'`;
      return (await client.workflow.count(query)).count;
    },
    look: async (cluster) => void (await holdpoint.state(targetOf(cluster))),
    approveFirst: async (cluster) => void (await sign(cluster, 'ada')),
    approve: async (cluster) => ({ cluster, sentAtMs: await sign(cluster, 'grace') }),
    hasEndedWell: (cluster) =>
      endsWell(client.workflow.getHandle(targetOf(cluster)), (result) => (result as Partial<RunResult>).phase === 'done'),
    approvalToStepMs: (approval) => approvalToActivityMs(client.workflow.getHandle(targetOf(approval.cluster)), 'perform', approval),
  };
}

/** Returns when it was sent: the person has seen the plan before, so looking at it does not count; the client's own calls do. */
async function decide(holdpoint: Holdpoint, state: RunState, { request }: HoldState, key: Signer): Promise<number> {
  const sentAtMs = Date.now();
  await holdpoint.decide(state, request, 'approve', 'looks right', key);
  return sentAtMs;
}
