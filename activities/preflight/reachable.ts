import { formatTarget, type Target } from '../../domain/target.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { ClusterAccess } from '../../runbooks/configuration/configuration.ts';
import { createClients } from '../clients.ts';
import { readCluster } from '../eks/cluster.ts';
import { drainAsks, mayI } from '../kubernetes/client/permissions.ts';

/** What a look at one part has shown. */
export interface Finding {
  what: string;
  state: 'good' | 'bad' | 'unsure';
  says: string;
  /** What to do; left out where nothing is to be done. */
  todo?: string;
}

/**
 * Looks with the credentials of this process whether a target can be reached, and whether a drain may do there what it does. Changes
 * nothing; throws only what is no error of the world.
 *
 * @param clusters how clusters of holdpoint.yaml are reached; paths are absolute.
 */
export async function lookAtTarget(target: Target, clusters: Readonly<Record<string, ClusterAccess>>): Promise<Finding[]> {
  const clients = createClients({ clusters: async () => clusters });
  const findings: Finding[] = [];
  if (target.kind === 'eks') {
    findings.push(await looked('AWS credentials', async () => identityOf(clients.eks(target.region).config.credentials)));
    findings.push(
      await looked('EKS', async () => {
        const { status, version } = await readCluster(clients, target);
        return `${formatTarget(target)} is ${status ?? 'of unknown status'} at ${version ?? 'an unknown version'}`;
      }),
    );
  }
  if (target.kind !== 'eks' && target.kind !== 'kubernetes') return findings;
  findings.push(
    await looked('Kubernetes', async () => {
      const apis = await clients.kubernetes(target);
      const missing = await mayI(apis, target.name, drainAsks);
      if (missing.length === 0) return `whoever these credentials are may do at ${formatTarget(target)} whatever a drain does`;
      const [{ remedy = '' } = {}] = missing;
      return { says: missing.map(({ reason }) => reason).join(' '), todo: remedy };
    }),
  );
  return findings;
}

async function identityOf(credentials: () => Promise<{ accessKeyId: string; accountId?: string }>): Promise<string> {
  const { accessKeyId, accountId } = await credentials();
  return `found: access key …${accessKeyId.slice(-4)}${accountId === undefined ? '' : ` of account ${accountId}`}`;
}

async function looked(what: string, look: () => Promise<string | { says: string; todo: string }>): Promise<Finding> {
  try {
    const seen = await look();
    return typeof seen === 'string' ? { what, state: 'good', says: seen } : { what, state: 'bad', ...seen };
  } catch (error) {
    if (error instanceof HoldpointError) return { what, state: 'bad', says: error.message, todo: error.remedy };
    const says = error instanceof Error ? error.message : String(error);
    return { what, state: 'bad', says, todo: 'Put that right, and see whether `aws` and `kubectl` work in this shell.' };
  }
}
