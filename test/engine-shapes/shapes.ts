import type { RunbookDocument } from '../../domain/runbook.ts';
import type { JsonObject } from '../../domain/json.ts';
import { initialNodes, type WorldSeed } from '../../sandbox/seed.ts';
import { demoRegion } from '../../sandbox/worlds/demo.ts';

/** One more than go at a time in the list, and two for the runbook within: each costs ten kills, there and back. */
const nodesMax = 5;

const head = (name: string, inputs: string): string => `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: ${name}, title: A shape of the engine }
inputs:
  type: object
  required: [cluster, ${inputs}]
  properties:
    cluster: { type: string }
    ${inputs}: { type: array, items: { type: string } }
target: eks/${demoRegion}/\${inputs.cluster}
steps:
`;

const inner = `${head('inner', 'few')}
  - { id: first, uses: kubernetes.cordon, with: { nodes: ['\${inputs.few[0]}'] } }
  - { id: sign, hold: production-change, question: Another one? }
  - { id: second, uses: kubernetes.cordon, with: { nodes: ['\${inputs.few[1]}'] } }
`;

/**
 * Every shape that the engine knows, in one runbook: a hold, a list of which two go at a time, a condition, a runbook within it with a
 * hold of its own, and a last step whose failure has everything undone. Its actions take one request each.
 */
export const shapes: RunbookDocument = {
  file: './shapes.yaml',
  text: `${head('shapes', 'nodes')}
  - { id: look, uses: eks.preflight, with: { nodegroup: blue } }
  - { id: sign, hold: production-change, question: 'Cordon \${steps.each.items.size()} nodes?' }
  - id: each
    uses: kubernetes.cordon
    forEach: \${inputs.nodes.filter(node, node != inputs.nodes[0] && node != inputs.nodes[1])}
    as: node
    concurrency: 2
    with: { nodes: ['\${node}'] }
  - { id: never, uses: kubernetes.cordon, if: 'inputs.nodes.size() > 100', with: { nodes: '\${inputs.nodes}' } }
  - { id: nested, runbook: ./inner.yaml, with: { cluster: '\${inputs.cluster}', few: '\${inputs.nodes}' } }
  - { id: last, uses: kubernetes.uncordon, with: { nodes: '\${inputs.nodes}' }, onFailure: undo }
`,
  runbooks: { './inner.yaml': { file: './inner.yaml', text: inner } },
};

/** Nodes of the world of a scenario: the runbook within takes two, the list the others. */
export function inputsOfShapes({ clusters: [cluster] }: WorldSeed): JsonObject {
  const [blue] = cluster?.nodegroups ?? [];
  if (!cluster || !blue) throw new RangeError('the world of a scenario has a node group');
  return {
    cluster: cluster.name,
    nodes: initialNodes(cluster, blue)
      .slice(0, nodesMax)
      .map(({ name }) => name),
  };
}
