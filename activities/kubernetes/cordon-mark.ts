import { PatchStrategy, setHeaderOptions, type V1Node } from '@kubernetes/client-node';
import { kubernetesCode, kubernetesError } from '../failure.ts';
import type { KubernetesApis } from './connect.ts';
import { inParallel, listNodes, readNode } from './read.ts';

/** The annotation by which a cordon says whose it is: the id of the run. A cordon without it is somebody else's. */
export const cordonAnnotation = 'holdpoint.dev/cordon';

const attemptsMax = 5;

/** Names us in the managed fields of a node, so that people see who has cordoned it. */
const fieldManager = 'holdpoint';

/** Whose cordon a node carries. */
export type CordonState = 'none' | 'ours' | 'foreign';

/** Reads whose cordon a node carries, seen from a run. */
export function cordonState(node: V1Node, run: string): CordonState {
  if (node.spec?.unschedulable !== true) return 'none';
  return node.metadata?.annotations?.[cordonAnnotation] === run ? 'ours' : 'foreign';
}

/** The run that has cordoned a node; undefined where it was done by hand or by another tool. */
export function cordonOwner(node: V1Node): string | undefined {
  return node.metadata?.annotations?.[cordonAnnotation];
}

/**
 * Cordons a node for a run, unless it is cordoned already or has been replaced by another one of its name.
 * Returns whose cordon it carries then; `gone` where the node does not exist any more.
 */
export async function cordonNode(
  apis: KubernetesApis,
  cluster: string,
  { name, uid }: { name: string; uid: string },
  run: string,
): Promise<CordonState | 'gone'> {
  for (let attempt = 1; ; attempt += 1) {
    const node = await readNode(apis, cluster, name);
    if (!node || node.metadata?.uid !== uid) return 'gone';
    const state = cordonState(node, run);
    if (state !== 'none') return state;
    try {
      await patchNode(apis, node, { spec: { unschedulable: true } }, run);
      return 'ours';
    } catch (error) {
      if (!hasChanged(error) || attempt >= attemptsMax) throw kubernetesError(error, `cordon node ${name}`, cluster);
    }
  }
}

/** Lifts a run's cordon from a node; another's is left alone. Returns whether there was one to lift. */
export async function liftCordon(apis: KubernetesApis, cluster: string, name: string, run: string): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    const node = await readNode(apis, cluster, name);
    if (!node || cordonOwner(node) !== run) return false;
    try {
      await patchNode(apis, node, { spec: { unschedulable: null } }, null);
      return true;
    } catch (error) {
      if (!hasChanged(error) || attempt >= attemptsMax) throw kubernetesError(error, `uncordon node ${name}`, cluster);
    }
  }
}

/** Lifts every cordon that a run has set in a cluster; returns the names of the nodes. */
export async function liftCordonsOf(apis: KubernetesApis, cluster: string, run: string): Promise<string[]> {
  const marked = (await listNodes(apis, cluster)).filter((node) => cordonOwner(node) === run).map((node) => node.metadata?.name ?? '');
  const lifted = await inParallel(marked, (name) => liftCordon(apis, cluster, name, run));
  return marked.filter((_name, index) => lifted[index]);
}

/** Whether somebody has changed or deleted the node since it was looked at, so that it must be looked at again. */
function hasChanged(error: unknown): boolean {
  const code = kubernetesCode(error);
  return code === 409 || code === 404;
}

/** Carries the version that was looked at: if anybody has changed the node since, the API server answers 409. */
async function patchNode({ core }: KubernetesApis, node: V1Node, change: object, owner: string | null): Promise<void> {
  const { name = '', resourceVersion } = node.metadata ?? {};
  await core.patchNode(
    { name, fieldManager, body: { metadata: { resourceVersion, annotations: { [cordonAnnotation]: owner } }, ...change } },
    setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
  );
}
