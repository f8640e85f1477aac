import { describe, expect, test } from '@jest/globals';
import { prepareNested, prepareRunbook } from '../../activities/prepare.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { readRunbook } from '../../runbooks/library.ts';

const policy = { name: 'production-change', atLeast: 1, of: 'sre', exclude: [], reason: 'optional', expiresMs: 1000 } as const;
const configuration: Configuration = { people: {}, groups: {}, policies: { 'production-change': { ...policy, exclude: [] } } };
const region = 'eu-central-1';

function refusalOf(act: () => unknown): string {
  try {
    act();
    return 'no refusal';
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

describe('a runbook that carries out another one', () => {
  const document = readRunbook('node-groups-update');
  const inputs = { region, cluster: 'demo', nodegroups: ['blue'] };

  test('is prepared with the texts that came along', () => {
    const prepared = prepareRunbook({ document, inputs }, configuration);
    expect(prepared).toMatchObject({ targetName: `eks/${region}/demo`, inputs });
    expect(prepared.runbook.steps).toMatchObject([{ kind: 'runbook', runbook: { name: 'node-group-update' } }]);
  });

  test('is refused without them, though the worker has a runbook of that name', () => {
    const { file, text } = document;
    expect(refusalOf(() => prepareRunbook({ document: { file, text }, inputs }, configuration))).toMatch(
      /^runbook-invalid: .*The text of the runbook "node-group-update" did not come with this one/,
    );
  });

  test('is refused where a policy of the other one is unknown to the worker', () => {
    expect(refusalOf(() => prepareRunbook({ document, inputs }, { ...configuration, policies: {} }))).toMatch(
      /^runbook-invalid: .*node-group-update\.yaml:\d+:\d+ error steps\[1\]\.hold: There is no policy "production-change"/,
    );
  });

  test('is told which of its inputs does not fit', () => {
    expect(refusalOf(() => prepareRunbook({ document, inputs: { region, cluster: 'demo', nodegroups: 3 } }, configuration))).toMatch(
      /: nodegroups: Must be a list\.$/,
    );
  });
});

describe('the target of a run', () => {
  const document = readRunbook('node-maintenance');
  const clusters = { lab: { kubeconfig: '/k', context: 'c' } };
  const prepare = (target: string, differences: Partial<Configuration> = {}): ReturnType<typeof prepareRunbook> =>
    prepareRunbook({ document, inputs: { target, nodes: ['a'] } }, { ...configuration, clusters, ...differences });

  test.each([
    ['kubernetes/lab', { kind: 'kubernetes', region: '', name: 'lab' }],
    [`eks/${region}/demo`, { kind: 'eks', region, name: 'demo' }],
  ])('can be %s, as the runbook works on both kinds', (name, target) => {
    expect(prepare(name)).toMatchObject({ target, targetName: name });
  });

  test.each<[string, string, Partial<Configuration>, string]>([
    [
      'a cluster that is not configured',
      'kubernetes/lap',
      {},
      'target-not-configured: The worker cannot reach the target kubernetes/lap. There is no "lap" in `clusters` of the configuration. ' +
        'Did you mean "lab"? There are: lab.',
    ],
    [
      'a cluster where there are none',
      'kubernetes/lab',
      { clusters: undefined },
      'target-not-configured: The worker cannot reach the target kubernetes/lab. ' +
        'There is no "lab" in `clusters` of the configuration. It has none.',
    ],
    [
      'a system that the worker does not load',
      `eks/${region}/demo`,
      { systems: ['kubernetes'] },
      `target-not-configured: The worker cannot reach the target eks/${region}/demo. eks/${region}/demo belongs to the system eks, ` +
        'but the configuration names the systems kubernetes only.',
    ],
    [
      'a kind that there is not',
      'redis/main',
      {},
      'inputs-invalid: The inputs do not fit the runbook runbooks/node-maintenance.yaml: Target "redis/main" must have the form ' +
        'eks/<region>/<cluster> or kubernetes/<name> or rds/<region>/<cluster> or etcd/<name>, ' +
        'for example eks/eu-central-1/demo or kubernetes/lab or rds/eu-central-1/orders or etcd/prod.',
    ],
  ])('is refused where it is %s', (_title, target, differences, message) => {
    expect(refusalOf(() => prepare(target, differences))).toBe(message);
  });

  test('is refused where it is of a kind that the runbook does not work on', () => {
    const { text } = document;
    const only = { file: 'r.yaml', text: text.replace('worksOn: [eks, kubernetes]', 'worksOn: [eks]') };
    const inputs = { target: 'kubernetes/lab', nodes: ['a'] };
    expect(refusalOf(() => prepareRunbook({ document: only, inputs }, { ...configuration, clusters }))).toBe(
      'inputs-invalid: The inputs do not fit the runbook r.yaml: ' +
        'Target "kubernetes/lab" is of the kind kubernetes; the runbook works on eks.',
    );
  });

  test('is named by one input now, and a region is told to be none', () => {
    const inputs = { region, cluster: 'demo', nodes: ['a'] };
    expect(refusalOf(() => prepareRunbook({ document, inputs }, configuration))).toMatch(
      /target: Is missing\.; region: There is no such input/,
    );
  });
});

describe('the runbook that is carried out', () => {
  const { runbook } = prepareRunbook(
    { document: readRunbook('node-group-rotation'), inputs: { region, cluster: 'demo', nodegroup: 'blue', newNodegroup: 'green' } },
    configuration,
  );
  const inputs = { region, cluster: 'demo', nodegroup: 'blue', newNodegroup: 'green' };
  const prepare = (given: JsonObject): ReturnType<typeof prepareNested> =>
    prepareNested({ runbook, inputs: given, target: `eks/${region}/demo` });

  test('gets its defaults', () => {
    expect(prepare(inputs)).toMatchObject({ inputs: { ...inputs, nodesAtOnce: 1, alsoCordoned: false, onDeadline: 'stuck' } });
  });

  test.each<[string, JsonObject, RegExp]>([
    [
      'a missing input',
      { region, cluster: 'demo', nodegroup: 'blue' },
      /do not fit the runbook node-group-rotation: newNodegroup: Is missing\.$/,
    ],
    ['a value of the wrong type', { ...inputs, force: 'two' }, /: force: Must be true or false\.$/],
    ['a number that is too large', { ...inputs, nodesAtOnce: 1000 }, /: nodesAtOnce: Must be <= 100\.$/],
    ['a text that is no share', { ...inputs, nodesAtOnce: 'two' }, /: nodesAtOnce: Must match pattern "[^"]*"\.$/],
    ['a value that is neither', { ...inputs, nodesAtOnce: true }, /: nodesAtOnce: Must match a schema in anyOf\.$/],
    [
      'another target than that of its run',
      { ...inputs, cluster: 'other' },
      /: they name the target eks\/eu-central-1\/other, but it is carried out by a run on eks\/eu-central-1\/demo and can work on nothing/,
    ],
    ['a target that is none', { ...inputs, region: 'here' }, /: Target "eks\/here\/demo" names the region "here"/],
  ])('is refused for %s', (_title, given, message) => {
    expect(refusalOf(() => prepare(given))).toMatch(new RegExp(`^inputs-invalid: .*${message.source}`));
  });
});
