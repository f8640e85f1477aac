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

describe('the runbook that is carried out', () => {
  const { runbook } = prepareRunbook(
    { document: readRunbook('node-group-rotation'), inputs: { region, cluster: 'demo', nodegroup: 'blue', newNodegroup: 'green' } },
    configuration,
  );
  const inputs = { region, cluster: 'demo', nodegroup: 'blue', newNodegroup: 'green' };
  const prepare = (given: JsonObject): ReturnType<typeof prepareNested> =>
    prepareNested({ runbook, inputs: given, target: `eks/${region}/demo` });

  test('gets its defaults', () => {
    expect(prepare(inputs)).toEqual({ inputs: { ...inputs, nodesAtOnce: 1, alsoCordoned: false } });
  });

  test.each<[string, JsonObject, RegExp]>([
    [
      'a missing input',
      { region, cluster: 'demo', nodegroup: 'blue' },
      /do not fit the runbook node-group-rotation: newNodegroup: Is missing\.$/,
    ],
    ['a value of the wrong type', { ...inputs, nodesAtOnce: 'two' }, /: nodesAtOnce: Must be an integer\.$/],
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
