import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import type { JsonObject } from '../../../domain/json.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import type { Exchange } from '../../support/proxy.ts';
import { databaseNamed } from '../../support/scenarios.ts';

let demo: TestCluster | undefined;

const isThere = spawnSync('python3', ['-c', 'import botocore.session'], { stdio: 'ignore' }).status === 0;
if (!isThere) {
  process.stderr.write('\nNOT JUDGED: what RDS is asked and the sandbox answers, as there is no python3 with botocore here.\n\n');
}

afterEach(() => demo?.stop());

/** What every action of RDS asks and is answered, in one life of an Aurora cluster, with some refusals. */
async function lifeOfADatabase(): Promise<Exchange[]> {
  const seed = { ...worldWith([], { nodes: 0 }), databases: [databaseNamed('demo')] };
  const started = (demo = await startCluster(seed, { speed: 5_000, kind: 'rds' }));
  const [database] = started.sandbox.world.databases;
  const exchanges: Exchange[] = [];
  started.proxy.heard = (exchange) => {
    if (exchange.body.includes('Version=2014-10-31')) exchanges.push(exchange);
  };
  const carryOut = async (action: string, input: JsonObject): Promise<void> => {
    await started.perform(action, await started.plan(action, input));
  };
  database?.pendingMaintenance.push({ resource: 'demo-c', action: 'system-update', description: 'New <Operating> System & more' });
  await carryOut('rds.modifyInstance', { instance: 'demo-b', instanceClass: 'db.r6g.xlarge' });
  await carryOut('rds.failover', { writer: 'demo-a', to: 'demo-b' });
  await carryOut('rds.takeSnapshot', {});
  await carryOut('rds.rotateCertificate', { instance: 'demo-a', certificateAuthority: 'rds-ca-rsa2048-g1' });
  await carryOut('rds.clone', { name: 'demo-drill' });
  await carryOut('rds.deleteClone', { name: 'demo-drill' });
  await carryOut('rds.upgradeEngine', { from: '16.4', to: '16.6' });
  await carryOut('rds.createBlueGreen', { name: 'to-17', engineVersion: '17.4' });
  await carryOut('rds.switchoverBlueGreen', { name: 'to-17' });
  if (database) database.isProtected = false;
  await carryOut('rds.deleteBlueGreen', { name: 'to-17' });
  await failureOf(started.plan('rds.failover', { writer: 'demo-a' }, { target: { ...started.target, name: 'nope' } }));
  const { changes } = await started.clients.rds(region);
  const refused = [
    changes.failoverDBCluster({ DBClusterIdentifier: 'demo', TargetDBInstanceIdentifier: 'nope' }),
    changes.modifyDBCluster({ DBClusterIdentifier: 'demo', EngineVersion: '17.4', ApplyImmediately: true }),
    changes.deleteDBCluster({ DBClusterIdentifier: 'demo', SkipFinalSnapshot: true }),
    changes.createDBClusterSnapshot({ DBClusterIdentifier: 'nope', DBClusterSnapshotIdentifier: 'a' }),
    changes.modifyDBInstance({ DBInstanceIdentifier: 'nope', PromotionTier: 0 }),
    changes.modifyDBInstance({ DBInstanceIdentifier: 'demo-c', DBInstanceClass: 'db.r7g.large' }),
    changes.modifyDBInstance({ DBInstanceIdentifier: 'demo-c', PromotionTier: 99 }),
  ];
  for (const call of refused) await call.catch(() => undefined);
  return exchanges;
}

/** The operations of RDS that anything in activities/ may ask for. */
function operationsOfActions(): string[] {
  const directory = fileURLToPath(new URL('../../../activities/rds', import.meta.url));
  const files = readdirSync(directory).filter((file) => file.endsWith('.ts'));
  const calls = files.flatMap((file) => [...readFileSync(join(directory, file), 'utf8').matchAll(/\b(?:reads|changes)\s*\.(\w+)\(/g)]);
  return [...new Set(calls.map(([, name = '']) => name.charAt(0).toUpperCase() + name.slice(1)))].sort();
}

(isThere ? test : test.skip)(
  'Every request of an action and every answer of the sandbox is as the model of RDS in botocore says, and its client reads them.',
  async () => {
    const exchanges = await lifeOfADatabase();
    const judge = fileURLToPath(new URL('../../support/botocore_query_judge.py', import.meta.url));
    const odd = { method: 'POST', path: '/', status: 200, headers: { 'content-type': 'text/xml' } };
    const answer = '<R><FailoverDBClusterResult><DBCluster><Staus>x</Staus></DBCluster></FailoverDBClusterResult></R>';
    const refusal = '<ErrorResponse><Error><Code>NoSuchThing</Code></Error></ErrorResponse>';
    const input = JSON.stringify([
      ...exchanges,
      { ...odd, body: 'Action=FailoverDBCluster&Version=2014-10-31&Target=a', answer },
      { ...odd, body: 'Action=FailoverDBCluster&Version=2014-10-31&DBClusterIdentifier=a', status: 400, answer: refusal },
    ]);
    const { stdout, stderr } = spawnSync('python3', [judge, 'rds'], { input, encoding: 'utf8' });
    if (stdout === '') throw new Error(stderr);
    const { wrong, operations } = JSON.parse(stdout) as { wrong: string[]; operations: string[] };
    expect(wrong).toEqual([
      'FailoverDBCluster: DBClusterIdentifier is missing',
      expect.stringContaining('FailoverDBCluster: NoSuchThing is none of the errors'),
      'FailoverDBCluster: Target is no parameter',
      'FailoverDBCluster: answer.DBCluster.Staus is no member',
    ]);
    expect(operationsOfActions().filter((name) => !operations.includes(name))).toEqual([]);
  },
);
