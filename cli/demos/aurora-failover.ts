import type { JsonObject } from '../../domain/json.ts';
import type { AuroraCluster } from '../aurora-cluster.ts';
import type { Demo } from './demo.ts';

const place = { region: 'eu-central-1', cluster: 'demo' };
const expected = ['demo-b', 'demo-a'];

/** A failover and the failback; the plan of the second says what the first has cost. */
export const auroraFailover: Demo<AuroraCluster> = {
  name: 'aurora-failover',
  acts: [
    { runbook: 'aurora-failover', inputs: () => ({ ...place, writer: 'demo-a', to: 'demo-b' }) },
    {
      runbook: 'aurora-failover',
      inputs: () => ({ ...place, writer: 'demo-b', to: 'demo-a' }),
      prelude: { says: 'And back. The plan says what the first failover has cost, and what is left of 99.99%.' },
    },
  ],
  watch: async (cluster) => {
    const writers = [...expected];
    let before = (await cluster.seen()).failovers.length;
    return async () => {
      const { writer, failovers, trouble } = await cluster.seen();
      const count = failovers.length - before;
      before = failovers.length;
      const wanted = writers.shift();
      return {
        sentence: `${writer} is the writer after ${count} failover${count === 1 ? '' : 's'} that the sandbox has counted`,
        violations: [
          ...(count === 1 ? [] : [`RDS was asked for ${count} failovers; one was signed.`]),
          ...(writer === wanted ? [] : [`The writer is ${writer}, and not ${wanted ?? ''}.`]),
          ...(trouble === undefined ? [] : [trouble]),
        ],
        leftovers: [],
        counts: { failovers: count, writer },
      };
    };
  },
  counts: () => ({}),
  measured: (outputs) => outageIn(outputs),
};

/** What `--json` says of the outage; the sentences of the probe are in the record. */
function outageIn(outputs: readonly JsonObject[]): JsonObject {
  const [outage] = outputs.flatMap(({ outage: found }) => (typeof found === 'object' && found !== null ? [found as JsonObject] : []));
  if (outage?.measured !== true) return { outageMeasured: false };
  const { atLeastMs, atMostMs } = outage.writesRefusedMs as { atLeastMs: number; atMostMs: number };
  return { outageMeasured: true, writesRefusedMs: { atLeastMs, atMostMs }, lostWrites: outage.lostWrites ?? null };
}
