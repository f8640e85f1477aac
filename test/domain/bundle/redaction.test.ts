import { expect, test } from '@jest/globals';
import { Redaction } from '../../../domain/bundle/redaction.ts';
import type { Json } from '../../../domain/json.ts';

const state = {
  run: 'r-20261121-7kq2m4',
  target: 'eks/eu-central-1/payments-prod',
  requester: 'dana',
  inputs: { nodegroup: 'blue-secret', retries: 3, force: true },
  steps: [
    {
      id: 'drain[ip-10-0-0-4.eu-central-1.compute.internal]',
      uses: 'kubernetes.drain',
      status: 'stuck',
      summary: 'PDB shop/storefront needs 7',
    },
  ],
  stuck: {
    code: 'aws-denied',
    reason: 'AWS refused DescribeCluster on eks/eu-central-1/payments-prod for arn:aws:iam::123456789012:role/ops.',
  },
  effects: [{ object: 'Deployment shop/storefront', change: 'evict its pods' }],
  planHash: `sha256:${'ab'.repeat(32)}`,
};
const configuration = {
  people: { dana: { name: 'Dana Requester', key: 'x'.repeat(43) } },
  channels: { ops: { slack: { webhook: 'https://hooks.slack.com/services/T0/B0/secret' } } },
  evidence: { s3: { bucket: 'our-evidence', prefix: 'holdpoint' } },
};
const secrets = [
  ['payments-prod', 'dana', 'Dana', 'blue-secret', 'ip-10-0-0-4', 'storefront', 'shop', '123456789012', 'role/ops', 'xxxxxxxx'],
  ['hooks.slack.com', 'our-evidence', 'secret'],
].flat();

function taken(...parts: Json[]): { redaction: Redaction; texts: string[]; values: Json[] } {
  const redaction = new Redaction();
  for (const part of parts) redaction.learn(part);
  const values = parts.map((part) => redaction.taken(part));
  return { redaction, values, texts: values.map((value) => JSON.stringify(value)) };
}

test('names and secrets are in no part, wherever they stood', () => {
  const { texts } = taken(state, configuration);
  for (const secret of secrets) expect([secret, texts.filter((text) => text.includes(secret))]).toEqual([secret, []]);
});

test('what helps to understand a report stays: codes, kinds, states, hashes, numbers and sentences of ours', () => {
  const [value] = taken(state, configuration).values as [typeof state];
  expect(value).toMatchObject({
    run: state.run,
    inputs: { retries: 3, force: true },
    steps: [{ uses: 'kubernetes.drain', status: 'stuck' }],
    stuck: { code: 'aws-denied', reason: expect.stringMatching(/^AWS refused DescribeCluster on /) },
    planHash: state.planHash,
  });
  expect(value.effects[0]?.object).toMatch(/^Deployment /);
});

test('words of ours are no names, whatever they stand for elsewhere', () => {
  const [value] = taken({
    steps: [{ status: 'done', summary: 'signed and done' }],
    before: 'done',
    exclude: ['requester'],
    requester: 'dana',
  }).values;
  expect(value).toMatchObject({
    steps: [{ status: 'done', summary: 'signed and done' }],
    before: 'done',
    requester: expect.stringMatching(/^name-/),
  });
});

test('the same name is the same everywhere, so that a report can be followed', () => {
  const { values } = taken({ requester: 'dana', decisions: [{ person: 'dana' }, { person: 'grace' }] });
  const [value] = values as [{ requester: string; decisions: { person: string }[] }];
  expect(value.decisions[0]?.person).toBe(value.requester);
  expect(value.decisions[1]?.person).not.toBe(value.requester);
});

test('a text that it was not shown before, and what looks like a secret in a sentence, is taken out as well', () => {
  const redaction = new Redaction();
  const reason = 'token eyJhbGciOi.eyJzdWIi.c2ln of bob@example.com at 10.1.2.3 in /home/bob/x with AKIAIOSFODNN7EXAMPLE';
  expect(JSON.stringify(redaction.taken({ other: 'bobs-cluster', reason }))).not.toMatch(/eyJ|bob|10\.1\.2\.3|AKIA/);
});
