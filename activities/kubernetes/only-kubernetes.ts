import type { Clients } from '../clients.ts';
import type { KubernetesApis } from './client/connect.ts';

/** Clients of one cluster of Kubernetes, for what asks nothing of AWS. */
export function onlyKubernetes(apis: KubernetesApis): Clients {
  const none = (): never => {
    throw new Error('what works on a cluster of Kubernetes needs no AWS');
  };
  const waivers = async (): Promise<[]> => [];
  const aws = { eks: none, ec2: none, autoScaling: none, cloudwatch: none, ssm: none, rds: none };
  return { ...aws, endpoints: none, waivers, kubernetes: async () => apis, etcd: none, backups: none, probe: none };
}
