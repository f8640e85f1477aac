import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import type { JsonObject } from '../../../domain/json.ts';
import { worldWithGroup } from '../../every-action/scenarios.ts';
import { region, startCluster, type TestCluster } from '../../support/cluster.ts';
import type { Exchange } from '../../support/proxy.ts';

let demo: TestCluster | undefined;

const isThere = spawnSync('python3', ['-c', 'import botocore.session'], { stdio: 'ignore' }).status === 0;
if (!isThere) {
  process.stderr.write('\nNOT JUDGED: what Auto Scaling is asked and the sandbox answers, as there is no python3 with botocore here.\n\n');
}

afterEach(() => demo?.stop());

/** What every action asks of Auto Scaling and is answered, in one life of a group, with some refusals. */
async function lifeOfAGroup(): Promise<Exchange[]> {
  const hooks = (['LAUNCHING', 'TERMINATING'] as const).map((when) => {
    return {
      name: `on-${when}`,
      transition: `autoscaling:EC2_INSTANCE_${when}` as const,
      heartbeatTimeoutSeconds: 30,
      defaultResult: 'CONTINUE' as const,
    };
  });
  const started = (demo = await startCluster(worldWithGroup([], { hooks }), { speed: 5_000 }));
  const exchanges: Exchange[] = [];
  started.proxy.heard = (exchange) => {
    if (exchange.body.includes('Version=2011-01-01')) exchanges.push(exchange);
  };
  const carryOut = async (action: string, input: JsonObject): Promise<void> => {
    await started.perform(action, await started.plan(action, input));
  };
  const [group] = started.groups;
  group!.refresh = { id: '08b91cf7-8fa6-48af-b6a6-d227f40f1b9b', status: 'Successful' };
  const nodes = (await started.nodeNames()).sort();
  await carryOut('autoscaling.findNodes', { group: 'workers', launchTemplateVersion: '2' });
  await carryOut('autoscaling.hold', { group: 'workers', sizeMax: 6 });
  await carryOut('autoscaling.setLaunchTemplate', { group: 'workers', version: '2' });
  group!.shortage = 'We currently do not have sufficient m6i.large capacity <here>.';
  const growth = await started.plan('autoscaling.scaleUp', { group: 'workers', to: 4 });
  await expect(started.perform('autoscaling.scaleUp', growth)).rejects.toThrow('sufficient m6i.large capacity');
  group!.shortage = undefined;
  await started.perform('autoscaling.scaleUp', growth, { context: { retry: 1 } });
  await carryOut('autoscaling.terminate', { group: 'workers', nodes: nodes.slice(0, 1) });
  await carryOut('autoscaling.replace', { node: nodes[1] ?? '' });
  await carryOut('autoscaling.release', { group: 'workers' });
  const { changes } = await started.clients.autoScaling(region);
  const refused = [
    changes.terminateInstanceInAutoScalingGroup({ InstanceId: 'i-0123456789abcdef0', ShouldDecrementDesiredCapacity: true }),
    changes.updateAutoScalingGroup({ AutoScalingGroupName: 'workers', DesiredCapacity: 99 }),
    changes.suspendProcesses({ AutoScalingGroupName: 'nope' }),
  ];
  for (const call of refused) await expect(call).rejects.toThrow();
  return exchanges;
}

/** The operations of Auto Scaling that anything in activities/ may ask for. */
function operationsOfActions(): string[] {
  const directory = fileURLToPath(new URL('../../../activities/autoscaling', import.meta.url));
  const files = readdirSync(directory).filter((file) => file.endsWith('.ts'));
  const calls = files.flatMap((file) => [...readFileSync(join(directory, file), 'utf8').matchAll(/\b(?:reads|changes)\s*\.(\w+)\(/g)]);
  return [...new Set(calls.map(([, name = '']) => name.charAt(0).toUpperCase() + name.slice(1)))].sort();
}

(isThere ? test : test.skip)(
  'Every request of an action and every answer of the sandbox is as the model of Auto Scaling in botocore says, and its client reads them.',
  async () => {
    const exchanges = await lifeOfAGroup();
    const judge = fileURLToPath(new URL('../../support/botocore_query_judge.py', import.meta.url));
    const odd = { method: 'POST', path: '/', status: 200, headers: { 'content-type': 'text/xml' }, answer: '<R><ResponseMetadata/></R>' };
    const input = JSON.stringify([...exchanges, { ...odd, body: 'Action=SuspendProcesses&Version=2011-01-01&Group=a' }]);
    const { stdout, stderr } = spawnSync('python3', [judge, 'autoscaling'], { input, encoding: 'utf8' });
    if (stdout === '') throw new Error(stderr);
    const { wrong, operations } = JSON.parse(stdout) as { wrong: string[]; operations: string[] };
    expect(wrong).toEqual(['SuspendProcesses: AutoScalingGroupName is missing', 'SuspendProcesses: Group is no parameter']);
    expect(operationsOfActions().filter((name) => !operations.includes(name))).toEqual([]);
  },
);
