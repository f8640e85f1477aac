import { tsImport } from 'tsx/esm/api';

/** Starts one control plane with three nodes for all test files, which find it through the environment. */
export default async function globalSetup() {
  const report = (sentence) => process.stderr.write(`${sentence}\n`);
  const { findKubernetes } = await tsImport('../../lab/kubernetes-binaries.ts', import.meta.url);
  const { startControlPlane } = await tsImport('../../lab/kubernetes.ts', import.meta.url);
  const { createAll, nodeManifests, untilSettled } = await tsImport('../../lab/workloads.ts', import.meta.url);
  const { buildWhereStale } = await tsImport('../../lab/build.ts', import.meta.url);
  await buildWhereStale();
  const binaries = await findKubernetes(report);
  const begin = Date.now();
  const plane = await startControlPlane({ binaries });
  globalThis.stopControlPlane = () => plane.stop();
  report(`Started the control plane after ${((Date.now() - begin) / 1000).toFixed(1)} s.`);
  await createAll(plane.request, nodeManifests({ count: 3 }));
  await untilSettled(plane.request);
  process.env.HOLDPOINT_LAB_KUBECONFIG = plane.kubeconfig;
  process.env.HOLDPOINT_LAB_ETCD = plane.etcd;
  process.env.HOLDPOINT_LAB_ETCDCTL = binaries.etcdctl;
}
