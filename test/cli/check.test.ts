import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { checkMarkdown, junitLines, sarifOf } from '../../cli/check-view.ts';
import { checks } from '../../domain/preflight/checks.ts';
import type { Report } from '../../domain/preflight/preflight.ts';
import { createCloud, type Cloud } from '../../sandbox/cloud.ts';
import { startSandbox, type Sandbox } from '../../sandbox/server.ts';
import { useEnvironment } from '../support/cluster.ts';
import { cleanCluster, plantedCluster, plantedFindings } from '../support/planted-problems.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { runCommandWith } from '../support/run-command.ts';

const planted = 'eks/eu-central-1/planted';
const clean = 'eks/eu-central-1/clean';
let sandbox: Sandbox;
let proxy: Proxy;
let cloud: Cloud | undefined;
let home: string;
let shortSubnets: string[];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'holdpoint-check-'));
  sandbox = await startSandbox({
    seed: { clusters: [cleanCluster, plantedCluster] },
    speed: 1,
    randomSeed: 7,
    cloud: (world) => (cloud = createCloud(world)).handle,
  });
  proxy = await startProxy(sandbox.url);
  sandbox.world.baseUrl = proxy.url;
  useEnvironment(proxy.url);
  cloud?.setNodegroupIssue('planted', 'old', { code: 'AsgInstanceLaunchFailures', message: 'no capacity', resourceIds: [] });
  // The subnets of `planted` come after the three of `clean`.
  shortSubnets = (cloud?.subnets() ?? []).slice(3, 5).map(({ id }) => id);
  for (const id of shortSubnets) cloud?.setFreeAddresses(id, 4);
});

afterEach(() => {
  proxy.treat = () => 'pass';
});

afterAll(async () => {
  await proxy.stop();
  await sandbox.stop();
  await rm(home, { recursive: true, force: true });
});

async function call(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { HOME: home, HOLDPOINT_CONFIG: join(home, 'holdpoint.yaml'), KUBECONFIG: join(home, 'kubeconfig') };
  const { code, stdout: out, stderr: err } = await runCommandWith({ env, stdin: Readable.from([]) }, 'check', ...argv);
  return { code, out, err };
}

async function configure(waivers: object[] = [], more: object = {}): Promise<void> {
  const document = { apiVersion: 'holdpoint.dev/v1', kind: 'Configuration', people: {}, groups: {}, policies: {}, waivers, ...more };
  await writeFile(join(home, 'holdpoint.yaml'), JSON.stringify(document), { mode: 0o600 });
}

const reportOf = ({ out }: { out: string }): Report => JSON.parse(out) as Report;

test('A clean cluster has no finding, and every problem of a planted one is found, and nothing else.', async () => {
  await configure();
  const sound = await call(clean, '--to', '1.34', '--json');
  expect(reportOf(sound).findings).toEqual([]);
  expect(reportOf(sound).notChecked).toEqual([]);
  expect(sound.code).toBe(0);

  // Nine nodes with eight processors each run, and six more come for a group in three zones.
  cloud?.setProcessorsMax(119);
  const found = await call(planted, '--json');
  cloud?.setProcessorsMax(1_000);
  expect(found.code).toBe(7);
  const names = reportOf(found).findings.map(({ name }) => name);
  expect(names.sort()).toEqual(
    [...plantedFindings, 'instance-quota:Quota/standard-on-demand', ...shortSubnets.map((id) => `pod-addresses:Subnet/${id}`)].sort(),
  );
  const [short] = reportOf(found).findings.filter(({ check }) => check === 'pod-addresses');
  expect(short?.why).toMatch(
    /^There are 4 free IP addresses in eu-central-1[ab], and the update of node group (blue|old|pool) brings 2 nodes/,
  );
  expect(proxy.requests.filter((made) => !/^GET |insights$/.test(made) && made !== 'POST /')).toEqual([]);
  // What is packed in releases, annotations and commands stays there.
  expect(found.out + found.err).not.toContain('hunter2');
});

/** A finding whose texts would end a cell, an element or an attribute where they are not escaped. */
const hostile = '</failure>]]> "quoted" & <b> | `x`\n\u0007\uFFFE [a](http://evil.example)';
const finding = (check: string, severity: 'error' | 'warning' | 'note'): Report['findings'][number] => ({
  name: `${check}:Thing/${hostile}`,
  check,
  severity,
  object: `Thing/${hostile}`,
  why: hostile,
  remedy: 'Mend it.',
  source: 'https://example.com/rule',
});
const waiver = { finding: 'spread', reason: hostile, until: '2027-01-01T00:00:00Z' };
const hostileReport: Report = {
  version: '1.33',
  toVersion: '1.34',
  findings: [finding('insight', 'error'), finding('single-replica', 'warning'), finding('no-budget', 'note')],
  waived: [{ finding: finding('spread', 'warning'), waiver }],
  over: [{ finding: 'insight:Thing', waiver }],
  notChecked: [{ check: 'helm-release-api', because: hostile }],
  leftOut: { spread: 3 },
};

/** Reads JUnit XML with a parser that has nothing to do with Holdpoint. */
const readJunit = `
import json, sys, xml.etree.ElementTree as tree
suite = tree.fromstring(sys.stdin.buffer.read())
cases = [{"class": c.get("classname"), "name": c.get("name"),
          "is": [e.tag for e in c], "said": [e.get("message") for e in c]} for c in suite]
print(json.dumps({"attributes": dict(suite.attrib), "cases": cases}))
`;
interface Junit {
  attributes: Record<string, string>;
  cases: { class: string; name: string; is: string[]; said: string[] }[];
}
const python = spawnSync('python3', ['-c', 'import xml.etree.ElementTree'], { stdio: 'ignore' }).status === 0;
if (!python) process.stderr.write('\nNOT JUDGED: JUnit XML of checks was read by nothing, as there is no python3 here.\n\n');

function junitOf(text: string): Junit {
  const { stdout, stderr } = spawnSync('python3', ['-c', readJunit], { input: text, encoding: 'utf8' });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Junit;
}

/** What the schema of SARIF 2.1.0 (OASIS) asks for of what a report has in it, and no other properties. */
const text = { type: 'string' };
const message = { type: 'object', required: ['text'], properties: { text }, additionalProperties: false };
const level = { enum: ['none', 'note', 'warning', 'error'] };
const only = (required: string[], properties: object): object => ({ type: 'object', required, properties, additionalProperties: false });
const list = (items: object): object => ({ type: 'array', items, uniqueItems: true });
const place = only(['artifactLocation'], {
  artifactLocation: only(['uri'], { uri: { ...text, pattern: '^[A-Za-z0-9._~/-]+$' } }),
  region: only(['startLine'], { startLine: { type: 'integer', minimum: 1 } }),
});
const rule = only(['id'], { id: text, shortDescription: message, helpUri: { ...text, pattern: '^https://[!-~]+$' } });
const result = only(['message'], {
  ruleId: text,
  level,
  message,
  locations: list(only([], { physicalLocation: place, logicalLocations: list(only([], { fullyQualifiedName: text, kind: text })) })),
  partialFingerprints: { type: 'object', additionalProperties: text },
  suppressions: list(only(['kind'], { kind: { enum: ['inSource', 'external'] }, justification: text })),
});
const notification = only(['message'], { level, message });
const invocation = only(['executionSuccessful'], {
  executionSuccessful: { type: 'boolean' },
  toolExecutionNotifications: list(notification),
});
const driver = only(['name'], { name: text, version: text, rules: list(rule) });
const run = only(['tool'], { tool: only(['driver'], { driver }), invocations: list(invocation), results: list(result) });
const isSarif = new Ajv({ strict: true, strictRequired: false }).compile(
  only(['version', 'runs'], { $schema: text, version: { const: '2.1.0' }, runs: list(run) }),
);

test('JUnit XML: a failure for each problem, a skipped test for what is waived or was not checked, a test for every quiet check.', () => {
  if (!python) return;
  const { attributes, cases } = junitOf(junitLines(hostileReport, 'eks/eu-central-1/demo').join('\n'));
  expect(attributes).toEqual({ name: 'holdpoint check eks/eu-central-1/demo', tests: `${checks.length}`, failures: '2', skipped: '2' });
  expect(cases).toHaveLength(checks.length);
  expect(cases.slice(0, 5).map((one) => [one.class, one.is])).toEqual([
    ['insight', ['failure']],
    ['single-replica', ['failure']],
    ['no-budget', ['system-out']],
    ['spread', ['skipped']],
    ['helm-release-api', ['skipped']],
  ]);
  expect(cases[0]?.said[0]).toContain('</failure>]]> "quoted" & <b>');
  expect(cases.slice(5).every((one) => one.is.length === 0)).toBe(true);
});

test('SARIF: what its schema asks for, with every check as a rule, what is waived as suppressed, and what was not checked told.', () => {
  const sarif = JSON.parse(JSON.stringify(sarifOf(hostileReport, 'eks/eu-central-1/demo', '1.0.0'))) as {
    runs: [{ results: { ruleId: string; level: string; suppressions?: object[] }[]; tool: { driver: { rules: { id: string }[] } } }];
  };
  expect([isSarif(sarif), isSarif.errors]).toEqual([true, null]);
  const [{ results, tool }] = sarif.runs;
  expect(results.map((one) => [one.ruleId, one.level, one.suppressions?.length ?? 0])).toEqual([
    ['insight', 'error', 0],
    ['single-replica', 'warning', 0],
    ['no-budget', 'note', 0],
    ['spread', 'warning', 1],
  ]);
  expect(tool.driver.rules.map(({ id }) => id)).toEqual(checks.map(({ name }) => name));
  expect(JSON.stringify(sarif)).toContain('helm-release-api was not checked, because:');
});

test('Markdown: one row of five cells for each finding, whatever is in it, and nothing that is obeyed.', () => {
  const lines = checkMarkdown(hostileReport, 'eks/eu-central-1/demo');
  const rows = lines.filter((line) => line.startsWith('| ')).map((line) => line.split(/(?<!\\)\|/).length - 2);
  expect(rows).toEqual([5, 5, 5, 5]);
  expect(lines.some((line) => line.includes('\n'))).toBe(false);
  expect(lines.join('\n')).not.toMatch(/(?<!\\)<b>|(?<!\\)\[a(?<!\\)\]\(http/);
  expect(lines.filter((line) => line.startsWith('- '))).toHaveLength(4);
});

test('Each form is printed whole, ends with the same code, and what is waived in holdpoint.yaml counts until its end.', async () => {
  const page = { until: '2099-01-01T00:00:00Z', reason: 'Known' };
  await configure([
    { finding: 'insight', ...page, targets: ['eks/*/planted'] },
    { finding: 'single-replica:Deployment/shop/alone', ...page, until: '2020-01-01T00:00:00Z' },
    { finding: 'two-budgets', ...page, targets: ['eks/*/other'] },
  ]);
  const [junit, sarif, markdown, json] = await Promise.all([
    call(planted, '-o', 'junit'),
    call(planted, '-o', 'sarif'),
    call(planted, '--markdown'),
    call(planted, '--json'),
  ]);
  expect([junit, sarif, markdown, json].map(({ code }) => code)).toEqual([7, 7, 7, 7]);
  const report = reportOf(json);
  expect(report.waived.map((one) => one.finding.name)).toEqual(['insight:Insight/Deprecated APIs', 'insight:Insight/Add-on versions']);
  expect(report.over.map((one) => one.finding)).toEqual(['single-replica:Deployment/shop/alone']);
  expect(report.findings.map(({ check }) => check)).toEqual(expect.arrayContaining(['two-budgets', 'single-replica']));
  if (python) {
    const { attributes } = junitOf(junit.out);
    expect(attributes.failures).toBe(`${report.findings.filter(({ severity }) => severity !== 'note').length}`);
    expect(attributes.skipped).toBe('2');
  }
  expect([isSarif(JSON.parse(sarif.out)), isSarif.errors]).toEqual([true, null]);
  expect(markdown.out.split('\n').filter((line) => /^\| (error|warning|note) /.test(line))).toHaveLength(report.findings.length);
  expect([junit, sarif, markdown].map(({ out }) => out).join('')).not.toContain('hunter2');
});

test('A waiver of a check that does not exist is refused, with its place in the file.', async () => {
  await configure([{ finding: 'single-replicas', reason: 'Known', until: '2099-01-01T00:00:00Z' }]);
  const { code, err } = await call(clean);
  expect(code).toBe(2);
  expect(err).toMatch(/holdpoint\.yaml.*waivers/);
  expect(err).toContain('There is no check "single-replicas"');
});

test('What may not be read is told with its reason, is not taken for sound, and keeps nothing else from being checked.', async () => {
  await configure();
  const forbidden = (message_: string): { status: number; headers: Record<string, string>; body: string } => ({
    status: 403,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message: message_, reason: 'Forbidden', code: 403 }),
  });
  proxy.treat = ({ path, body }) => {
    if (path.includes('/api/v1/secrets')) return forbidden('secrets is forbidden: User "reader" cannot list resource "secrets"');
    if (path.includes('/apis/apps/v1/statefulsets')) return forbidden('statefulsets.apps is forbidden');
    if (path.includes('/addons?')) {
      const headers = { 'x-amzn-errortype': 'AccessDeniedException', 'content-type': 'application/json' };
      return { status: 403, headers, body: JSON.stringify({ message: 'User reader is not authorized to perform this' }) };
    }
    if (body.includes('SERVICE_QUOTA')) {
      return { status: 400, headers: { 'content-type': 'application/x-amz-json-1.0' }, body: '{"__type":"AccessDeniedException"}' };
    }
    if (!body.includes('Action=DescribeSubnets')) return 'pass';
    const error = '<Code>UnauthorizedOperation</Code><Message>You are not authorized to perform this operation.</Message>';
    const xml = `<Response><Errors><Error>${error}</Error></Errors><RequestID>1</RequestID></Response>`;
    return { status: 403, headers: { 'content-type': 'text/xml' }, body: xml };
  };
  const answer = await call(clean, '--to', '1.34', '--json');
  const { notChecked, findings } = reportOf(answer);
  expect(findings).toEqual([]);
  expect(answer.code).toBe(6);
  const left = notChecked.map(({ check }) => check);
  expect(left).toEqual(
    checks
      .filter(({ reads }) => reads.some((part) => ['helmReleases', 'workloads', 'written', 'addons', 'subnets'].includes(part)))
      .map(({ name }) => name),
  );
  const reasonOf = (check: string): string | undefined => notChecked.find((one) => one.check === check)?.because;
  expect(reasonOf('helm-release-api')).toContain('cannot list resource "secrets"');
  expect(reasonOf('single-replica')).toContain('statefulsets.apps is forbidden');
  expect(reasonOf('addon-health')).toContain('not authorized');
  expect(reasonOf('node-addresses')).toContain('AWS refused DescribeSubnets');
  expect(reasonOf('instance-quota')).toContain('AWS refused GetMetricData');
  const shown = await call(clean, '--to', '1.34');
  expect(shown.out).toContain(`${left.length} checks could not be made`);
  expect(shown.out).toMatch(/not checked, because: .*cannot list resource "secrets".*: helm-release-api/);
});

test('An answer of EC2 that cannot be read, such as the page of a proxy, is no answer.', async () => {
  proxy.treat = ({ body }) => (body.includes('Action=DescribeSubnets') ? { status: 200, body: '<html>Sign in<br>' } : 'pass');
  const { notChecked } = reportOf(await call(clean, '--to', '1.34', '--json'));
  expect(notChecked.map(({ check }) => check)).toEqual(['control-plane-addresses', 'node-addresses', 'pod-addresses', 'instance-quota']);
});

test('A cluster of Kubernetes is checked by its kubeconfig or by `clusters`; of EKS nothing is said.', async () => {
  const cluster = { server: `${proxy.url}/kubernetes/planted` };
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'lab', cluster }],
    users: [{ name: 'me', user: { token: 'sandbox' } }],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'me' } }],
    'current-context': 'lab',
  };
  const file = join(home, 'lab-kubeconfig');
  await writeFile(file, JSON.stringify(kubeconfig), { mode: 0o600 });
  await configure([], { clusters: { named: { kubeconfig: file, context: 'lab' } } });
  const ofEks = checks.filter(({ reads }) => reads.some((part) => eksParts.has(part))).map(({ name }) => name);
  const expected = plantedFindings.filter((name) => !ofEks.includes(name.slice(0, name.indexOf(':'))));
  for (const argv of [['kubernetes/lab', '--kubeconfig', file, '--context', 'lab'], ['kubernetes/named']]) {
    const { out, code } = await call(...argv, '--json');
    const report = reportOf({ out });
    expect([code, report.version, report.notChecked]).toEqual([7, '1.33', []]);
    expect(report.findings.map(({ name }) => name).sort()).toEqual(expected);
  }
  const unknown = await call('kubernetes/nowhere');
  expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('There is no Kubernetes cluster "nowhere"')]);
});

const eksParts = new Set([
  'cluster',
  'versionSupport',
  'nodegroups',
  'insights',
  'addons',
  'addonVersions',
  'subnets',
  'launchTemplates',
  'certificateAuthorities',
]);
