import { setTimeout as wait } from 'node:timers/promises';
import type { EtcdDemoCluster } from '../etcd-cluster.ts';
import type { Demo } from './demo.ts';

const inputs = (): { name: string } => ({ name: 'demo' });
const damaged = 'm3';
const key = 'orders/1042';
const value = 'paid: 100 EUR';
const damagedValue = 'paid: 900 EUR';
const serveTimeoutMs = 20_000;
const lookMs = 200;

/** A backup, data that change by themselves in one member and are found, a drill, and a restore of all members. */
export const etcdBackup: Demo<EtcdDemoCluster> = {
  name: 'etcd-backup',
  acts: [
    {
      runbook: 'etcd-backup',
      inputs,
      prelude: {
        says: `A shop writes ${key} = "${value}", and the cluster is backed up.`,
        cause: (cluster) => cluster.put(key, value),
      },
    },
    {
      runbook: 'etcd-backup',
      inputs,
      prelude: {
        says: `Now one digit changes in the data of ${damaged}, as on a disk that fails silently: it serves "${damagedValue}".`,
        cause: async (cluster) => {
          await cluster.damage(damaged, value, damagedValue);
          await untilServed(cluster, damagedValue);
        },
      },
      refusal: /keys at revision \d+ are not those of the other members/,
    },
    { runbook: 'etcd-restore-drill', inputs, prelude: { says: 'Does the backup come back? A drill restores it beside the cluster.' } },
    {
      runbook: 'etcd-restore',
      inputs: () => ({ ...inputs(), ofKubernetes: false }),
      prelude: { says: 'All members are brought back to the backup, each by the worker on its machine. Two people have to sign.' },
    },
  ],
  watch: async (cluster) => {
    // After the backup, the drill and the restore: which members have to have the right value.
    const looks = [
      ['m1', 'm2', 'm3'],
      ['m1', 'm2'],
      ['m1', 'm2', 'm3'],
    ];
    return async () => {
      const values = await cluster.valuesOf(key);
      const right = Object.keys(values).filter((name) => values[name] === value);
      const missing = (looks.shift() ?? []).filter((name) => !right.includes(name));
      const sentence = `${right.join(', ')} ${right.length === 1 ? 'has' : 'have'} ${key} = "${value}"`;
      return {
        sentence,
        violations: missing.map((name) => `${name} has ${key} = "${values[name] ?? ''}".`),
        leftovers: [],
        counts: { membersRight: right.length },
      };
    };
  },
  counts: () => ({}),
};

async function untilServed(cluster: EtcdDemoCluster, wanted: string): Promise<void> {
  const giveUpAtMs = performance.now() + serveTimeoutMs;
  while ((await cluster.valuesOf(key))[damaged] !== wanted) {
    if (performance.now() > giveUpAtMs) throw new Error(`${damaged} does not serve its changed data after ${serveTimeoutMs / 1000} s`);
    await wait(lookMs);
  }
}
