import type { V1Node } from '@kubernetes/client-node';
import { z } from 'zod';
import { defineAction, emptyPlan, type AnyAction } from '../../activities/action.ts';
import type { Clients } from '../../activities/clients.ts';
import { kubernetesCode, kubernetesError } from '../../activities/failure.ts';
import { apiPath } from '../../activities/kubernetes/client/connect.ts';
import { findNodes, inParallel, readNode } from '../../activities/kubernetes/client/read.ts';
import { declareAction } from '../../runbooks/actions/declaration.ts';

// 1. What it takes, gives and may do. In the product this stands in runbooks/actions/<system>.ts, among the actions of its system.
export const kubernetesLabelNodes = declareAction({
  name: 'kubernetes.labelNodes',
  summary: 'Sets one label on nodes.',
  worksOn: ['eks', 'kubernetes'],
  input: z.strictObject({
    nodes: z.array(z.string()).min(1).max(1000).describe('Names of the nodes.'),
    key: z.string().describe('The label.'),
    value: z.string().describe('Its value.'),
    ignoreMissing: z.boolean().default(false).describe('Pass over nodes that do not exist.'),
  }),
  change: 'changes',
  limits: { timeoutMs: 5 * 60_000 },
  outputs: { nodes: { type: 'list<string>' } },
});

type LabelInput = { nodes: string[]; key: string; value: string; ignoreMissing: boolean };
type LabelFacts = { nodes: { name: string; uid: string; before: string | null }[]; key: string; value: string };

// 2. What it does. In the product this is activities/kubernetes/label-nodes.ts, listed in activities/kubernetes/system.ts.
export function labelNodesAction(clients: Clients): AnyAction {
  return defineAction<LabelInput, LabelFacts>({
    declaration: kubernetesLabelNodes,

    // Reads only. Effects and facts are what people sign; the UID tells a node from another one of its name.
    plan: async ({ nodes: names, key, value, ignoreMissing }, { target }) => {
      const { nodes, missing } = await findNodes(await clients.kubernetes(target), target.name, names);
      const unknown = missing.map((name) => ({ object: `Node/${name}`, reason: 'It does not exist.', remedy: 'Check its name.' }));
      const facts = nodes.map((node) => ({
        name: node.metadata?.name ?? '',
        uid: node.metadata?.uid ?? '',
        before: labelOf(node, key),
      }));
      const changing = facts.filter(({ before }) => before !== value);
      return {
        ...emptyPlan({ nodes: facts, key, value }),
        effects: changing.map(({ name, before }) => ({
          object: `Node/${name}`,
          change: `set label ${key}`,
          before: before ?? 'none',
          after: value,
        })),
        blockers: ignoreMissing ? [] : unknown,
        outputs: { nodes: names },
        estimateMs: changing.length * 200,
      };
    },

    // Reads only, and assumes nothing about what this run has done before.
    observe: async ({ facts }, { target }) => {
      const apis = await clients.kubernetes(target);
      const items = await inParallel(facts.nodes, async ({ name, uid }) => {
        const node = await readNode(apis, target.name, name);
        const done = node?.metadata?.uid !== uid || labelOf(node, facts.key) === facts.value;
        return { name, state: done ? ('done' as const) : ('waiting' as const), done: done ? 1 : 0, total: 1 };
      });
      const done = items.filter(({ state }) => state === 'done').length;
      const progress = { summary: `${done} of ${items.length} nodes labelled`, done, total: items.length, unit: 'nodes', items };
      if (done < items.length) return { state: 'todo', progress };
      return { state: 'done', outputs: { nodes: facts.nodes.map(({ name }) => name) }, progress };
    },

    // One push. Looks at each node before it touches it, and sends the version that it has seen along.
    act: async ({ facts: { nodes, key, value } }, { target }) => {
      const apis = await clients.kubernetes(target);
      await inParallel(nodes, async ({ name, uid }) => {
        const node = await readNode(apis, target.name, name);
        if (node?.metadata?.uid !== uid || labelOf(node, key) === value) return;
        const body = { metadata: { resourceVersion: node.metadata.resourceVersion, labels: { [key]: value } } };
        const contents = { query: { fieldManager: 'holdpoint' }, body };
        await apis.request('PATCH', apiPath`/api/v1/nodes/${name}`, contents).catch((error: unknown) => {
          // 409: somebody was faster; the next look tells what is left to do.
          if (kubernetesCode(error) !== 409) throw kubernetesError(error, `label node ${name}`, target.name);
        });
      });
    },

    // The rollback, as calls of actions, or the reason why there is none. It may read the world; here the plan says it all.
    undo: async ({ facts: { nodes, key } }) => {
      const [first] = nodes;
      const sameBefore = nodes.every(({ before }) => before === first?.before);
      if (!first || first.before === null || !sameBefore) return { noUndo: `The nodes had no common value of ${key} before.` };
      const names = nodes.map(({ name }) => name);
      return [{ uses: 'kubernetes.labelNodes', with: { nodes: names, key, value: first.before, ignoreMissing: true } }];
    },
  });
}

function labelOf(node: V1Node | undefined, key: string): string | null {
  return node?.metadata?.labels?.[key] ?? null;
}
