import type { Command } from 'commander';
import type { NodeChoice } from '../activities/kubernetes/drain/by-hand.ts';
import { UsageError } from './errors.ts';

/** The label that EKS puts on the nodes of a managed node group. */
const nodegroupLabel = 'eks.amazonaws.com/nodegroup';

/** How nodes are named on a command line, and which cluster they are of. */
export interface NodeOptions {
  selector?: string;
  nodegroup?: string;
  kubeconfig?: string;
  context?: string;
}

/** The arguments and options that say which nodes are meant, as kubectl has them. */
export function withNodeOptions(command: Command): Command {
  return command
    .argument('[node...]', 'names of the nodes, as kubectl shows them')
    .option('-l, --selector <labels>', 'all nodes with these labels instead, such as pool=old,disk!=ssd')
    .option('--nodegroup <name>', 'all nodes of an EKS managed node group instead')
    .option('--kubeconfig <file>', 'the kubeconfig to use (default: KUBECONFIG, then ~/.kube/config)')
    .option('--context <name>', 'the context of the kubeconfig (default: its current one)');
}

/** Which nodes are meant. Throws UsageError where that is said in no way, or in several. */
export function nodeChoice(names: readonly string[], { selector, nodegroup }: NodeOptions): NodeChoice {
  const ways = [names.length > 0, selector !== undefined, nodegroup !== undefined].filter(Boolean).length;
  if (ways === 0) throw new UsageError('Which nodes?', 'Name them, or choose them with --selector or --nodegroup.');
  if (ways > 1) throw new UsageError('Nodes are chosen in more than one way.', 'Give names, --selector or --nodegroup, one of them.');
  // kubectl takes and prints `node/NAME`.
  if (names.length > 0) return { names: names.map((name) => name.replace(/^(nodes?|no)\//, '')) };
  return { selector: selector ?? `${nodegroupLabel}=${nodegroup ?? ''}` };
}
