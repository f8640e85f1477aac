import { tsImport } from 'tsx/esm/api';

/** Starts a control plane with three nodes for each worker of jest; its test files find it through the environment. */
export default async function globalSetup({ maxWorkers }) {
  const report = (sentence) => process.stderr.write(`${sentence}\n`);
  const { findKubernetes } = await tsImport('../../lab/kubernetes-binaries.ts', import.meta.url);
  const { startControlPlane } = await tsImport('../../lab/kubernetes.ts', import.meta.url);
  const { createAll, nodeManifests, untilSettled } = await tsImport('../../lab/workloads.ts', import.meta.url);
  const { buildWhereStale } = await tsImport('../../lab/build.ts', import.meta.url);
  await buildWhereStale();
  const binaries = await findKubernetes(report);
  process.env.HOLDPOINT_LAB_ETCDCTL = binaries.etcdctl;
  process.env.HOLDPOINT_LAB_ETCDUTL = binaries.etcdutl;
  process.env.HOLDPOINT_LAB_ETCD_PROGRAM = binaries.etcd;
  const begin = Date.now();
  const planes = [];
  globalThis.stopControlPlanes = () => Promise.all(planes.map((plane) => plane.stop()));
  const start = async (worker) => {
    const plane = await startControlPlane({ binaries });
    planes.push(plane);
    await createAll(plane.request, nodeManifests({ count: 3 }));
    await untilSettled(plane.request);
    process.env[`HOLDPOINT_LAB_KUBECONFIG_${worker}`] = plane.kubeconfig;
    process.env[`HOLDPOINT_LAB_ETCD_${worker}`] = plane.etcd;
  };
  await Promise.all(Array.from({ length: maxWorkers }, (_, index) => start(index + 1)));
  report(`Started ${maxWorkers} control planes after ${((Date.now() - begin) / 1000).toFixed(1)} s.`);
}
