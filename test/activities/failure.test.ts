import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ApiException } from '@kubernetes/client-node';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSystems } from '../../activities/catalogue.ts';
import { createClients } from '../../activities/clients.ts';
import { actionsOf } from '../../activities/system.ts';
import { awsError, connectionLost, kubernetesError, toFailure } from '../../activities/failure.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import { failureOf, startCluster, useEnvironment, worldWith, type TestCluster } from '../support/cluster.ts';
import type { Treatment } from '../support/proxy.ts';

const where = 'eks/eu-central-1/demo';
let demo: TestCluster;

beforeEach(async () => {
  demo = await startCluster(worldWith([]));
});

afterEach(() => demo.stop());

/** An address where nobody listens. */
async function deadUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

function awsAnswer(status: number, type: string, message: string): Treatment {
  return { status, headers: { 'content-type': 'application/json', 'x-amzn-errortype': type }, body: JSON.stringify({ message }) };
}

function kubernetesAnswer(code: number, message: string): Treatment {
  const body = JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code });
  return { status: code, headers: { 'content-type': 'application/json' }, body };
}

function preflightOf(clients = createClients()): Promise<ActionPlan> {
  const action = actionsOf(createSystems(clients)).get('eks.preflight');
  if (!action) throw new Error('there is no eks.preflight');
  return action.plan({ nodegroup: 'blue' }, demo.context());
}

describe('AWS', () => {
  test('that cannot be reached is told with the address, and may be tried again.', async () => {
    const url = await deadUrl();
    useEnvironment(url);
    expect(await failureOf(preflightOf())).toEqual({
      code: 'aws-unreachable',
      message: `AWS did not answer DescribeCluster on ${where}: connect ECONNREFUSED ${url.slice('http://'.length)}.`,
      remedy: 'Check the network of the worker and the endpoint (AWS_ENDPOINT_URL), then try again.',
    });
  });

  test('is not told with what was signed, where a signature does not fit: the token of the session is in it.', () => {
    const said =
      'The request signature we calculated does not match the signature you provided. X-Amz-Security-Token=IQoJb3JpZ2luX2VjEXAMPLE\n\n' +
      "The Canonical String for this request should have been\n'GET\n/clusters/demo\n\nx-amz-security-token:IQoJb3JpZ2luX2VjEXAMPLE'";
    const target = { kind: 'eks', region: 'eu-central-1', name: 'demo' };
    for (const name of ['InvalidSignatureException', 'SignatureDoesNotMatch']) {
      const { code, message } = awsError(Object.assign(new Error(said), { name, $fault: 'client' }), 'DescribeCluster', target);
      expect(code).toBe('aws-denied');
      expect(message).toContain('does not match the signature you provided. X-Amz-Security-Token=(left out)');
      expect(message).not.toMatch(/IQoJ|Canonical/);
    }
    const long = awsError(
      Object.assign(new Error('x'.repeat(100_000)), { name: 'AccessDenied', $fault: 'client' }),
      'DescribeCluster',
      target,
    );
    expect(long.message.length).toBeLessThan(1_200);
  });

  test('without credentials is refused before anything is sent.', async () => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE', 'HOME']) delete process.env[name];
    Object.assign(process.env, { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' });
    expect(await failureOf(preflightOf())).toEqual({
      code: 'aws-credentials-missing',
      message: `The worker has no AWS credentials for ${where}.`,
      remedy: 'Give the worker credentials (AWS_PROFILE, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and start it again.',
    });
    expect(demo.proxy.requests).toEqual([]);
  });

  test.each([
    {
      title: 'missing permission',
      answer: awsAnswer(403, 'AccessDeniedException', 'User: arn:aws:iam::111122223333:user/w is not authorized'),
      code: 'aws-denied',
      message: `AWS refused DescribeCluster on ${where}: User: arn:aws:iam::111122223333:user/w is not authorized.`,
    },
    {
      title: 'credentials that have expired',
      answer: awsAnswer(403, 'ExpiredTokenException', 'The security token included in the request is expired'),
      code: 'aws-denied',
      message: `AWS refused DescribeCluster on ${where}: The security token included in the request is expired.`,
    },
    {
      title: 'throttling',
      answer: awsAnswer(429, 'TooManyRequestsException', 'Rate exceeded'),
      code: 'aws-busy',
      message: `AWS could not take DescribeCluster on ${where} just now: Rate exceeded.`,
    },
    {
      title: 'throttling under its other name',
      answer: awsAnswer(400, 'InvalidRequestException', 'Request limit exceeded.'),
      code: 'aws-busy',
      message: `AWS could not take DescribeCluster on ${where} just now: Request limit exceeded.`,
    },
    {
      title: 'trouble of its own',
      answer: awsAnswer(500, 'ServerException', 'An internal error has occurred'),
      code: 'aws-busy',
      message: `AWS could not take DescribeCluster on ${where} just now: An internal error has occurred.`,
    },
    {
      title: 'a request that it does not take',
      answer: awsAnswer(400, 'InvalidParameterException', 'The name is not good'),
      code: 'aws-refused',
      message: `AWS refused DescribeCluster on ${where}: The name is not good.`,
    },
  ])('that reports $title is told as $code.', async ({ answer, code, message }) => {
    demo.proxy.treat = () => answer;
    expect(await failureOf(preflightOf())).toMatchObject({ code, message });
  });
});

describe('Kubernetes', () => {
  test('that cannot be reached is told, and may be tried again.', async () => {
    demo.sandbox.world.baseUrl = await deadUrl();
    const failure = await failureOf(preflightOf());
    expect(failure).toMatchObject({
      code: 'kubernetes-unreachable',
      remedy: 'Check that the worker reaches the endpoint of the cluster, then try again.',
    });
    expect(failure.message).toMatch(/^The Kubernetes API of demo did not answer list nodes: .*ECONNREFUSED.*\.$/);
  });

  test.each([
    {
      answer: kubernetesAnswer(401, 'Unauthorized'),
      code: 'kubernetes-denied',
      message: /^The Kubernetes API of demo refused list nodes: (Unauthorized|HTTP 401)\.$/,
    },
    {
      answer: kubernetesAnswer(403, 'nodes is forbidden: User "w" cannot list resource "nodes"'),
      code: 'kubernetes-denied',
      message: /^The Kubernetes API of demo refused list nodes: nodes is forbidden: User "w" cannot list resource "nodes"\.$/,
    },
    {
      answer: kubernetesAnswer(429, 'too many requests'),
      code: 'kubernetes-busy',
      message: /^The Kubernetes API of demo could not take list nodes just now: too many requests\.$/,
    },
    {
      answer: kubernetesAnswer(503, 'apiserver is shutting down'),
      code: 'kubernetes-unreachable',
      message: /^The Kubernetes API of demo did not answer list nodes: apiserver is shutting down\.$/,
    },
    {
      answer: kubernetesAnswer(400, 'the field selector is wrong'),
      code: 'kubernetes-refused',
      message: /^The Kubernetes API of demo refused list nodes: the field selector is wrong\.$/,
    },
  ])('that answers $answer.status is told as $code.', async ({ answer, code, message }) => {
    demo.proxy.treat = ({ path }) => (path.startsWith('/kubernetes/') ? answer : 'pass');
    const failure = await failureOf(preflightOf());
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(message);
  });
});

test.each([
  [403, `nodes "a" is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'freeze' denied request: a freeze`, 'kubernetes-refused'],
  [403, `nodes "a" is forbidden: MutatingAdmissionPolicy 'freeze' with binding 'freeze' denied request: a freeze`, 'kubernetes-refused'],
  [403, 'pods "a" is forbidden: exceeded quota: q, requested: pods=1', 'kubernetes-refused'],
  [500, 'admission webhook "drain-cleaner.example.com" denied the request: the operator will move it', 'kubernetes-refused'],
  [403, 'nodes "a" is forbidden: User "w" cannot patch resource "nodes" in API group "" at the cluster scope', 'kubernetes-denied'],
  [403, '<html>a proxy says no</html>', 'kubernetes-denied'],
  [500, 'Internal error occurred: failed calling webhook "x": no endpoints', 'kubernetes-unreachable'],
])('%i "%s" is %s: rights have nothing to do with what admission denies (field cases 12, 26).', (code, message, expected) => {
  expect(kubernetesError(new ApiException(code, 'refused', JSON.stringify({ message }), {}), 'cordon node a', 'demo').code).toBe(expected);
});

describe('errors of our own', () => {
  const target = { kind: 'eks' as const, region: 'eu-central-1', name: 'demo' };
  const own = new TypeError("Cannot read properties of undefined (reading 'name')");

  test.each([
    ['awsError', () => awsError(own, 'DescribeCluster', target)],
    ['kubernetesError', () => kubernetesError(own, 'list nodes', 'demo')],
  ])('are not taken for those of others by %s, and told as what they are.', (_name, read) => {
    expect(read).toThrow(own);
    expect(toFailure(own)).toMatchObject({
      type: 'unexpected',
      message: "An unexpected error: TypeError: Cannot read properties of undefined (reading 'name')",
    });
  });

  test('are not tried again by a look that they break.', async () => {
    const broken = { ...createClients(), kubernetes: async () => Promise.reject(own) };
    await expect(preflightOf(broken)).rejects.toBe(own);
  });

  test.each([
    ['a connection that breaks off', Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })],
    ['a fetch that fails', Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) })],
    ['a certificate that has expired', Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' })],
    ['a time limit', Object.assign(new Error('The operation was aborted'), { name: 'AbortError' })],
    ['the page of a proxy', new SyntaxError('Unexpected token < in JSON at position 0')],
    ['an answer that is no HTTP', Object.assign(new Error('Parse Error'), { code: 'HPE_INVALID_CONSTANT' })],
    ['silence', connectionLost('nothing came for 75 s')],
  ])('are told from %s.', (_title, error) => {
    expect(kubernetesError(error, 'list nodes', 'demo').code).toBe('kubernetes-unreachable');
    expect(awsError(error, 'DescribeCluster', target).code).toBe('aws-unreachable');
  });
});

test('Neither keys nor tokens get into what is told of a failure.', async () => {
  const told: string[] = [];
  const tellFailureOf = async (treat: TestCluster['proxy']['treat']): Promise<void> => {
    demo.proxy.treat = treat;
    await preflightOf().catch((error: unknown) => {
      const failure = toFailure(error);
      told.push(JSON.stringify([failure.message, failure.type, failure.details]));
    });
  };
  await tellFailureOf(() => awsAnswer(403, 'AccessDeniedException', 'no'));
  await tellFailureOf(({ path }) => (path.startsWith('/kubernetes/') ? kubernetesAnswer(401, 'Unauthorized') : 'pass'));
  await tellFailureOf(({ path }) => (path.startsWith('/kubernetes/') ? 'lose-answer' : 'pass'));
  demo.sandbox.world.baseUrl = await deadUrl();
  await tellFailureOf(() => 'pass');
  expect(told).toHaveLength(4);
  expect(told.join('\n')).not.toMatch(/example-secret-key|AKIDEXAMPLE|k8s-aws-v1|Signature=/);
});
