import { describe, expect, test } from '@jest/globals';
import { compileRunbook } from '../../../runbooks/compiler/compile.ts';
import type { Configuration } from '../../../runbooks/configuration/configuration.ts';
import { formatProblem } from '../../../runbooks/grammar/problem.ts';

const configuration: Configuration = {
  people: {},
  groups: {},
  policies: {},
  clusters: { lab: { inCluster: true } },
};

/** A runbook whose target, kinds and step are these. The step is in line 12. */
function runbookWith(
  target: string,
  { worksOn, step = '{ id: check, uses: eks.preflight }' }: { worksOn?: string; step?: string } = {},
): string {
  return `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: test, title: Test }
inputs:
  type: object
  required: [target, name]
  properties:
    target: { type: string }
    name: { type: string }
target: ${target}
${worksOn === undefined ? '' : `worksOn: ${worksOn}`}
steps:
  - ${step}
`;
}

const read = '{ id: check, uses: kubernetes.cordon, with: { nodes: [a] } }';

function problemsOf(text: string, given?: Configuration): string[] {
  return compileRunbook(text, 'r.yaml', given)
    .problems.filter(({ severity }) => severity === 'error')
    .map(formatProblem);
}

describe('a runbook works on', () => {
  test.each<[string, string, string | undefined, string[]]>([
    ['the kind that its target begins with', 'eks/eu-central-1/${inputs.name}', undefined, ['eks']],
    ['the kind that it says besides', 'eks/eu-central-1/demo', '[eks]', ['eks']],
    ['the name of a cluster', 'kubernetes/${inputs.name}', undefined, ['kubernetes']],
    ['all kinds that it says, where an expression decides', '${inputs.target}', '[eks, kubernetes, eks]', ['eks', 'kubernetes']],
  ])('%s', (_title, target, worksOn, kinds) => {
    const { runbook, problems } = compileRunbook(runbookWith(target, { worksOn, step: read }), 'r.yaml');
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(runbook?.worksOn).toEqual(kinds);
  });

  test.each<[string, string, string]>([
    [
      'an expression that decides, without worksOn',
      runbookWith('${inputs.target}'),
      'r.yaml:10:9 error target: Which kind of target it is, an expression decides: say in `worksOn` which ones the runbook works on',
    ],
    [
      'a kind that there is not',
      runbookWith('redis/${inputs.name}'),
      'r.yaml:10:9 error target: Must have the form eks/<region>/<cluster>, ' +
        'for example eks/${inputs.region}/${inputs.cluster}; or kubernetes/<name>, for example kubernetes/${inputs.name}; ' +
        'or rds/<region>/<cluster>, for example rds/${inputs.region}/${inputs.cluster}; ' +
        'or etcd/<name>, for example etcd/${inputs.name}.',
    ],
    [
      'a target with too few parts',
      runbookWith('eks/${inputs.name}'),
      'r.yaml:10:9 error target: Must have the form eks/<region>/<cluster>, for example eks/${inputs.region}/${inputs.cluster}.',
    ],
    [
      'a kind besides the one of the target',
      runbookWith('eks/eu-central-1/demo', { worksOn: '[eks, kubernetes]' }),
      'r.yaml:11:10 error worksOn: The target is always of the kind eks; take out kubernetes.',
    ],
    [
      'an unknown kind',
      runbookWith('${inputs.target}', { worksOn: '[eks, redis]' }),
      'r.yaml:11:16 error worksOn[1]: Must be "eks" or "kubernetes" or "rds" or "etcd", but is the text "redis".',
    ],
    [
      'an action that does not work on all of its kinds',
      runbookWith('${inputs.target}', { worksOn: '[eks, kubernetes]' }),
      'r.yaml:13:24 error steps[0].uses: The action eks.preflight works on targets of the kind eks; ' +
        'this runbook works on eks and kubernetes.',
    ],
    [
      'an action of another system',
      runbookWith('kubernetes/${inputs.name}'),
      'r.yaml:13:24 error steps[0].uses: The action eks.preflight works on targets of the kind eks; this runbook works on kubernetes.',
    ],
  ])('and is refused for %s', (_title, text, problem) => {
    expect(problemsOf(text)).toEqual([expect.stringContaining(problem)]);
  });

  test('is refused where a runbook that it carries out does not work on all of its kinds', () => {
    const text = runbookWith('${inputs.target}', {
      worksOn: '[eks, kubernetes]',
      step: '{ id: other, runbook: ./other.yaml, with: { target: x, name: y } }',
    });
    const other = { text: runbookWith('eks/eu-central-1/${inputs.name}'), file: 'other.yaml' };
    const { problems } = compileRunbook(text, 'r.yaml', undefined, { './other.yaml': other });
    expect(problems.map(formatProblem)).toEqual([
      'r.yaml:13:27 error steps[0].runbook: The runbook test works on targets of the kind eks; this runbook works on eks and kubernetes.',
    ]);
  });
});

describe('with a configuration', () => {
  test('a cluster that is named must be in it; one that an expression names is for the run to tell', () => {
    expect(problemsOf(runbookWith('kubernetes/lap', { step: read }), configuration)).toEqual([
      'r.yaml:10:9 error target: There is no "lap" in `clusters` of the configuration. Did you mean "lab"? There are: lab.',
    ]);
    expect(problemsOf(runbookWith('kubernetes/lab', { step: read }), configuration)).toEqual([]);
    expect(problemsOf(runbookWith('kubernetes/${inputs.name}', { step: read }), configuration)).toEqual([]);
  });

  test('an action must be of a system that it loads', () => {
    const given: Configuration = { ...configuration, systems: ['kubernetes'] };
    expect(problemsOf(runbookWith('eks/${inputs.name}/demo'), given)).toEqual([
      'r.yaml:13:24 error steps[0].uses: It belongs to the system eks, but the configuration names the systems kubernetes only.',
    ]);
  });
});
