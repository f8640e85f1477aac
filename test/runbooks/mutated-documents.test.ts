import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject } from '../../domain/json.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { checkInputs } from '../../runbooks/compiler/inputs.ts';
import { loadConfiguration } from '../../runbooks/configuration/configuration.ts';
import { type Problem, problemsMax } from '../../runbooks/grammar/problem.ts';
import { isExhaustive } from '../support/exhaustive.ts';
import { mutation, oddInputs } from './mutation.ts';

/** 10,000 documents, or a fifth of them. */
const share = isExhaustive ? 1 : 1 / 5;
const mutations = { runbook: 1_500 * share, carryingRunbook: 1_250 * share, carriedRunbook: 1_250 * share, configuration: 6_000 * share };
const seed = 10;
/** Far more than an idle core needs; a busy machine may be slow. */
const timeoutMs = 600_000;

const head = `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: test, title: Test, description: "All of it" }
`;
const outer = `${head}inputs:
  type: object
  required: [cluster, nodes]
  properties:
    cluster: { type: string, pattern: "^[a-z]+$", default: demo }
    nodes: { type: array, items: { type: string, format: hostname }, minItems: 1 }
    version: { type: string, enum: ["1.33", "1.34"] }
    share: { type: integer, minimum: 1, default: 2 }
target: eks/eu-central-1/\${inputs.cluster}
steps:
  - id: check
    title: Look
    uses: eks.preflight
  - id: sign
    hold: production-change
    question: Move \${steps.drain.plan.pods} pods off \${steps.drain.plan.nodes.size()} nodes?
  - id: drain
    uses: kubernetes.drain
    with: { nodes: "\${inputs.nodes}", nodesAtOnce: 25%, podDeadline: 1h, onDeadline: delete }
    onFailure: undo
  - id: each
    forEach: \${inputs.nodes}
    as: node
    concurrency: \${inputs.share}
    if: steps.drain.podsMoved > 0
    uses: kubernetes.cordon
    with: { nodes: ["\${node}"] }
`;
const inner = `${head}inputs: { type: object, required: [group], properties: { group: { type: string }, version: { type: string } } }
target: eks/eu-central-1/demo
steps:
  - { id: sign-update, hold: test-change, question: "Update \${inputs.group} from \${steps.update.plan.effects.size()}?" }
  - { id: update, uses: eks.updateNodegroupVersion, with: { nodegroup: "\${inputs.group}", version: "\${inputs.?version}" } }
`;
const carrying = `${head}inputs: { type: object, properties: { groups: { type: array, items: { type: string } } } }
target: eks/eu-central-1/demo
steps:
  - { id: one, runbook: ./inner.yaml, with: { group: blue, version: "1.34" } }
  - { id: all, runbook: ./inner.yaml, forEach: [green, "\${steps.one.update.nodegroup}x"], as: group, with: { group: "\${group}" } }
  - { id: sign, hold: production-change, question: "And \${steps.last.items.size()}?" }
  - { id: last, forEach: "\${inputs.?groups.orValue([])}", uses: kubernetes.uncordon, with: { nodes: ["\${item}"], ignoreMissing: true } }
`;
// Public keys of RFC 8037, appendix A.2, and RFC 8032, section 7.1, test 2.
const configurationText = `apiVersion: holdpoint.dev/v1
kind: Configuration
people:
  ada: { name: Ada, key: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }
  grace: { name: Grace, key: PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw }
groups: { sre: [ada, grace] }
policies:
  production-change: { atLeast: 2, of: sre, exclude: [requester], reason: required, expires: 90s }
  test-change: { atLeast: 1, of: sre }
evidence: { s3: { bucket: our-evidence, prefix: holdpoint/prod, region: eu-central-1 } }
`;
const { configuration } = loadConfiguration(configurationText, 'holdpoint.yaml');

/** What is not as promised about problems of documents, which are given by their files. */
function complaintsAbout(problems: Problem[], texts: Record<string, string>): string[] {
  const complaints = problems.length > problemsMax ? [`${problems.length} problems`] : [];
  for (const problem of problems) {
    const line = texts[problem.file]?.split('\n')[problem.line - 1];
    const isPlaced = line !== undefined && problem.column >= 1 && problem.column <= line.length + 1;
    if (!isPlaced) complaints.push(`no such place: ${JSON.stringify(problem)}`);
    if (!isPath(problem.path)) complaints.push(`no path: ${JSON.stringify(problem)}`);
    if (problem.message === '' || problem.message.length > 510 || /undefined|\[object|\$map/.test(problem.message)) {
      complaints.push(`no sentence: ${JSON.stringify(problem)}`);
    }
  }
  return complaints;
}

/** Names with dots between them, indexes, and JSON strings in brackets. */
function isPath(path: string): boolean {
  return /^(([A-Za-z_][\w-]*|\[(\d+|"([^"\\]|\\.)*")\])((\.[A-Za-z_][\w-]*)|\[(\d+|"([^"\\]|\\.)*")\])*)?$/.test(path);
}

function complaintsAboutRunbook(text: string, nested: string, given: JsonObject): string[] {
  const documents = { './inner.yaml': { text: nested, file: 'inner.yaml' } };
  const { runbook, problems } = compileRunbook(text, 'outer.yaml', configuration, documents);
  const complaints = complaintsAbout(problems, { 'outer.yaml': text, 'inner.yaml': nested });
  if ((runbook === undefined) !== problems.some(({ severity }) => severity === 'error')) complaints.push('neither runbook nor error');
  for (const { path, message } of runbook === undefined ? [] : checkInputs(runbook, given).problems) {
    if (!isPath(path) || message === '') complaints.push(`input ${JSON.stringify({ path, message })}`);
  }
  return complaints;
}

describe('every problem of a mutated document has its place, and nothing is thrown', () => {
  test(
    'of a runbook',
    () => {
      const property = fc.property(mutation, oddInputs, (mutate, given) => {
        expect(complaintsAboutRunbook(mutate(outer), inner, given as JsonObject)).toEqual([]);
      });
      fc.assert(property, { numRuns: mutations.runbook, seed });
    },
    timeoutMs,
  );

  test(
    'of a runbook that carries out another one',
    () => {
      const property = fc.property(mutation, oddInputs, (mutate, given) => {
        expect(complaintsAboutRunbook(mutate(carrying), inner, given as JsonObject)).toEqual([]);
      });
      fc.assert(property, { numRuns: mutations.carryingRunbook, seed });
    },
    timeoutMs,
  );

  test(
    'of a runbook that is carried out',
    () => {
      const property = fc.property(mutation, oddInputs, (mutate, given) => {
        expect(complaintsAboutRunbook(carrying, mutate(inner), given as JsonObject)).toEqual([]);
      });
      fc.assert(property, { numRuns: mutations.carriedRunbook, seed });
    },
    timeoutMs,
  );

  test(
    'of a configuration',
    () => {
      const property = fc.property(mutation, (mutate) => {
        const text = mutate(configurationText);
        const { configuration: read, problems } = loadConfiguration(text, 'holdpoint.yaml');
        expect(complaintsAbout(problems, { 'holdpoint.yaml': text })).toEqual([]);
        expect(read === undefined).toBe(problems.length > 0);
      });
      fc.assert(property, { numRuns: mutations.configuration, seed });
    },
    timeoutMs,
  );
});

test('what is mutated has no problems itself', () => {
  expect(complaintsAboutRunbook(outer, inner, {})).toEqual([]);
  expect(compileRunbook(outer, 'outer.yaml', configuration).problems).toEqual([]);
  const documents = { './inner.yaml': { text: inner, file: 'inner.yaml' } };
  expect(compileRunbook(carrying, 'outer.yaml', configuration, documents).problems).toEqual([]);
  expect(configuration).toBeDefined();
});
