import { describe, expect, test } from '@jest/globals';
import { newPasskey } from '../../support/authenticator.ts';
import { sshLineOf } from '../../../domain/approval/sshsig.ts';
import { loadConfiguration } from '../../../runbooks/configuration/configuration.ts';
import { parseDurationMs } from '../../../runbooks/configuration/duration.ts';
import { formatProblem } from '../../../runbooks/grammar/problem.ts';
import { clustersOf } from '../../../runbooks/configuration/clusters.ts';
import { backupPlacesOf } from '../../../runbooks/configuration/backups.ts';
import { etcdClustersOf } from '../../../runbooks/configuration/etcd.ts';
import { probesOf } from '../../../runbooks/configuration/probes.ts';

// Public keys of RFC 8037, appendix A.2, and RFC 8032, section 7.1, tests 2 and 3.
const adaKey = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
const graceKey = Buffer.from('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', 'hex').toString('base64url');
const linusKey = Buffer.from('fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025', 'hex').toString('base64url');

const sound = `apiVersion: holdpoint.dev/v1
kind: Configuration
people:
  ada: { name: Ada, key: ${adaKey} }
  grace: { name: Grace, key: ${graceKey} }
groups: { sre: [ada, grace] }
policies:
  production-change: { atLeast: 2, of: sre, exclude: [requester], reason: required, expires: 90s }
  test-change: { atLeast: 1, of: sre }
`;

function problemsOf(text: string): string[] {
  const { configuration, problems } = loadConfiguration(text, 'h.yaml');
  expect(configuration).toBeUndefined();
  return problems.map(formatProblem);
}

test('a sound configuration is read with its defaults filled in', () => {
  const { configuration, problems } = loadConfiguration(`${sound}evidence: { directory: ./evidence }\n`, 'h.yaml');
  expect(problems).toEqual([]);
  expect(configuration).toEqual({
    people: { ada: { name: 'Ada', key: adaKey }, grace: { name: 'Grace', key: graceKey } },
    groups: { sre: ['ada', 'grace'] },
    policies: {
      'production-change': {
        name: 'production-change',
        atLeast: 2,
        of: 'sre',
        exclude: ['requester'],
        reason: 'required',
        expiresMs: 90_000,
      },
      'test-change': { name: 'test-change', atLeast: 1, of: 'sre', exclude: [], reason: 'optional', expiresMs: 14_400_000 },
    },
    evidence: { directory: './evidence' },
  });
});

test('a policy may combine groups', () => {
  const combined = 'any: [{ atLeast: 2, of: sre }, { all: [{ atLeast: 1, of: sre }] }], exclude: [earlier-approvers], deny: 1';
  const { configuration, problems } = loadConfiguration(sound.replace('atLeast: 1, of: sre', combined), 'h.yaml');
  expect(problems).toEqual([]);
  expect(configuration?.policies['test-change']).toEqual({
    name: 'test-change',
    any: [{ atLeast: 2, of: 'sre' }, { all: [{ atLeast: 1, of: 'sre' }] }],
    exclude: ['earlier-approvers'],
    reason: 'optional',
    deny: 1,
    expiresMs: 14_400_000,
  });
});

// A key as a line of authorized_keys.
const sshLine = (key: string): string => `${sshLineOf(Buffer.from(key, 'base64url'))} someone@laptop`;

test('people may have several keys, of several types, with times', () => {
  const ssh = `{ type: ssh, key: "${sshLine(linusKey)}", from: 2026-11-28T00:00:00Z }`;
  const keys = `[${ssh}, { type: ed25519, key: ${adaKey}, until: 2026-12-01T00:00:00Z }]`;
  const { configuration, problems } = loadConfiguration(sound.replace(`key: ${adaKey}`, `keys: ${keys}`), 'h.yaml');
  expect(problems).toEqual([]);
  expect(configuration?.people.ada).toEqual({
    name: 'Ada',
    keys: [
      { type: 'ssh', key: sshLine(linusKey), from: '2026-11-28T00:00:00Z' },
      { type: 'ed25519', key: adaKey, until: '2026-12-01T00:00:00Z' },
    ],
  });
});

test('a passkey of somebody is of the console, and knows its addresses', () => {
  const { key } = newPasskey('EdDSA');
  const addresses = 'rpId: holdpoint.example.com, origins: [https://holdpoint.example.com, "https://holdpoint.example.com:8443"]';
  const load = (console: string, times = '') =>
    loadConfiguration(`${sound.replace(`key: ${adaKey}`, `keys: [{ type: passkey, key: "${key.key}"${times} }]`)}\n${console}\n`, 'h.yaml');
  const { configuration, problems } = load(`console: { ${addresses} }`);
  expect(problems).toEqual([]);
  expect(configuration?.people.ada?.keys).toEqual([
    { ...key, origins: ['https://holdpoint.example.com', 'https://holdpoint.example.com:8443'] },
  ]);
  const told = (console: string, times?: string): string[] => load(console, times).problems.map(formatProblem);
  expect(told('')).toEqual([expect.stringContaining('Is of the host holdpoint.example.com, and there is no `console`')]);
  const other = 'console: { rpId: localhost, origins: ["http://localhost:8233"] }';
  expect(told(other)).toEqual([
    expect.stringContaining('people.ada.keys[0].key: Is of the host holdpoint.example.com, and console.rpId is localhost'),
  ]);
  expect(told(other, ', until: 2026-11-01T00:00:00Z')).toEqual([]);
  for (const origin of ['http://holdpoint.example.com', 'https://holdpoint.example.com/', 'https://example.com', 'http://127.0.0.1:80']) {
    const wrong = told(`console: { rpId: holdpoint.example.com, origins: ["${origin}"] }`);
    expect(wrong).toEqual([expect.stringContaining('console.origins[0]: Must be https://holdpoint.example.com, with its port')]);
  }
  expect(told('console: { rpId: "https://x", origins: ["https://x"] }')).toEqual([
    expect.stringContaining('console.rpId: Must be the name of a host'),
  ]);
});

describe('a mistake in the keys of somebody is reported at its place', () => {
  const ssh = (rest = ''): string => `{ type: ssh, key: "${sshLine(linusKey)}"${rest} }`;

  test.each([
    ['no key', '', 'h.yaml:4:8 error people.ada: Must have either a `key` or a list of `keys`.'],
    ['both', `key: ${adaKey}, keys: [${ssh()}]`, 'h.yaml:4:8 error people.ada: Must have either a `key` or a list of `keys`.'],
    ['an empty list', 'keys: []', 'h.yaml:4:27 error people.ada.keys: Must have at least 1 entries.'],
    [
      'too many',
      `keys: [${Array.from({ length: 9 }, () => ssh()).join()}]`,
      'h.yaml:4:27 error people.ada.keys: Must have at most 8 entries.',
    ],
    [
      'a type that there is not',
      'keys: [{ type: rsa, key: x }]',
      'h.yaml:4:36 error people.ada.keys[0].type: Must be "ed25519" or "ssh" or "passkey", but is the text "rsa".',
    ],
    [
      'a key of another SSH type',
      'keys: [{ type: ssh, key: ssh-rsa AAAAB3NzaC1yc2E }]',
      'h.yaml:4:46 error people.ada.keys[0].key: Must be a line `ssh-ed25519 AAAA… comment`, without options before it; ' +
        '`ssh-keygen -t ed25519` makes such a key.',
    ],
    [
      'a time that is none',
      `keys: [${ssh(', revoked: 2026-02-30T00:00:00Z')}]`,
      'revoked: Must be a time in UTC such as 2026-11-28T00:00:00Z.',
    ],
    [
      'a time that ends before it begins',
      `keys: [${ssh(', from: 2026-11-28T00:00:00Z, until: 2026-11-28T00:00:00Z')}]`,
      'until: Must be later than `from`.',
    ],
    ['a key twice', `keys: [${ssh()}, ${ssh()}]`, 'people.ada.keys[1].key: Is in the list twice.'],
    [
      'the key of somebody else in another form',
      `keys: [{ type: ssh, key: "${sshLine(graceKey)}" }]`,
      'people.grace.key: Is also the key of "ada"; everyone needs their own, or one person could sign twice.',
    ],
  ])('%s', (_what, keys, problem) => {
    const text = sound.replace(`key: ${adaKey}`, keys).replace('name: Ada,  }', 'name: Ada }');
    expect(problemsOf(text).join('\n')).toContain(problem);
  });

  test('but one key may be there as both types, for whoever goes over from one to the other', () => {
    const keys = `keys: [{ type: ssh, key: "${sshLine(adaKey)}" }, { type: ed25519, key: ${adaKey} }]`;
    expect(loadConfiguration(sound.replace(`key: ${adaKey}`, keys), 'h.yaml').problems).toEqual([]);
  });
});

test('artifacts may be kept in a place of their own', () => {
  const { configuration, problems } = loadConfiguration(`${sound}artifacts: { directory: /mnt/snapshots }\n`, 'h.yaml');
  expect(problems).toEqual([]);
  expect(configuration).toMatchObject({ artifacts: { directory: '/mnt/snapshots' }, evidence: undefined });
});

test('evidence may be kept in a bucket of S3', () => {
  const text = `${sound}evidence: { s3: { bucket: our-evidence, prefix: holdpoint/prod, region: eu-central-1 } }\n`;
  const { configuration, problems } = loadConfiguration(text, 'h.yaml');
  expect(problems).toEqual([]);
  expect(configuration?.evidence).toEqual({ s3: { bucket: 'our-evidence', prefix: 'holdpoint/prod', region: 'eu-central-1' } });
});

test('clusters are reached by a context of a kubeconfig, or from within', () => {
  const text = `${sound}clusters: { lab: { kubeconfig: ./lab.yaml, context: admin }, here: { inCluster: true } }\nsystems: [kubernetes]\n`;
  const { configuration, problems } = loadConfiguration(text, 'h.yaml');
  expect(problems).toEqual([]);
  expect(configuration).toMatchObject({
    clusters: { lab: { kubeconfig: './lab.yaml', context: 'admin' }, here: { inCluster: true } },
    systems: ['kubernetes'],
  });
  expect(clustersOf('/etc/holdpoint/h.yaml', configuration!)).toEqual({
    lab: { kubeconfig: '/etc/holdpoint/lab.yaml', context: 'admin' },
    here: { inCluster: true },
  });
});

test('clusters of etcd are reached by their endpoints, and their backups are kept encrypted', () => {
  const tls = 'tls: { certificateAuthority: ca.crt, certificate: c.crt, key: /pki/c.key }';
  const kmsKey = 'arn:aws:kms:eu-central-1:111122223333:key/k-1';
  const text = `${sound}etcd:
  prod: { endpoints: ['https://10.0.0.1:2379'], ${tls}, programs: bin, backups: { directory: backups, keyFile: backup.key } }
  lab: { endpoints: ['http://127.0.0.1:2379'], backups: { s3: { bucket: our-backups, region: eu-central-1 }, kmsKey: '${kmsKey}' } }
`;
  const { configuration, problems } = loadConfiguration(text, 'h.yaml');
  expect(problems).toEqual([]);
  expect(etcdClustersOf('/etc/holdpoint/h.yaml', configuration!)).toEqual({
    prod: {
      endpoints: ['https://10.0.0.1:2379'],
      tls: { certificateAuthority: '/etc/holdpoint/ca.crt', certificate: '/etc/holdpoint/c.crt', key: '/pki/c.key' },
      programs: '/etc/holdpoint/bin',
      backups: { place: { directory: '/etc/holdpoint/backups' }, key: { file: '/etc/holdpoint/backup.key' } },
    },
    lab: {
      endpoints: ['http://127.0.0.1:2379'],
      backups: { place: { s3: { bucket: 'our-backups', region: 'eu-central-1' } }, key: { kmsKey, region: 'eu-central-1' } },
    },
  });
});

test('machines of members are those of all endpoints, each with absolute paths', () => {
  const told = (machines: Record<string, object>): string[] => {
    const complete = Object.entries(machines).map(([name, differences]): [string, object] => {
      return [
        name,
        { endpoint: 'http://a:1', peerUrl: 'http://a:2', dataDirectory: '/d', start: ['/s', 'x'], stop: ['/t'], ...differences },
      ];
    });
    const prod = { endpoints: ['http://a:1'], members: Object.fromEntries(complete) };
    return loadConfiguration(`${sound}etcd: ${JSON.stringify({ prod })}\n`, 'h.yaml').problems.map(({ message }) => message);
  };
  expect(told({ m1: {} })).toEqual([]);
  expect(told({})).toEqual(['No member of `members` has "http://a:1".']);
  expect(told({ m1: {}, m2: { endpoint: 'http://b:1' } })).toEqual([
    '"http://b:1" is none of `endpoints`.',
    '"http://a:2" is the address of m1 already.',
  ]);
  expect(told({ m1: { dataDirectory: 'var/lib/etcd' } })).toEqual(['Must be an absolute path without a `/` at its end.']);
  expect(told({ m1: { start: ['systemctl', 'start'] } })).toEqual(['Must begin with the absolute path of a program.']);
  expect(told({ 'm/1': {} })).toHaveLength(1);
});

test('objects of clusters are backed up to a place for each target, and what cannot be one is refused with its line', () => {
  const key = 'keyFile: backup.key';
  const { configuration, problems } = loadConfiguration(`${sound}backups:\n  kubernetes/lab: { directory: backups, ${key} }\n`, 'h.yaml');
  expect(problems).toEqual([]);
  expect(backupPlacesOf('/etc/holdpoint/h.yaml', configuration!)).toEqual({
    'kubernetes/lab': { place: { directory: '/etc/holdpoint/backups' }, key: { file: '/etc/holdpoint/backup.key' } },
  });
  const refused = `backups:
  kubernetes/lab: { directory: backups, ${key} }
  kubernetes/other: { directory: backups, ${key} }
  eks/nowhere: { directory: a, ${key} }
  etcd/prod: { directory: b, ${key} }
  rds/eu-central-1/shop: { directory: c, ${key} }
  eks/eu-central-1/open: { directory: d }
`;
  const said = loadConfiguration(sound + refused, 'h.yaml')
    .problems.map(formatProblem)
    .join('\n');
  expect(said).toContain('backups["kubernetes/other"]: Has the same place as kubernetes/lab');
  expect(said).toContain('Target "eks/nowhere" must have the form');
  expect(said).toContain('belong in `backups` of their entry in `etcd`');
  expect(said).toContain('Only eks and kubernetes targets');
  expect(said).toContain('Must name either a `keyFile` or a `kmsKey`');
});

test('probes of databases have their URLs from files or the environment', () => {
  const text = `${sound}probes:
  rds/eu-central-1/orders: { urlFile: writer-url, readerUrlFromEnvironment: READER_URL, writesPerSecond: 50 }
`;
  const { configuration, problems } = loadConfiguration(text, 'h.yaml');
  expect(problems).toEqual([]);
  expect(probesOf('/etc/holdpoint/h.yaml', configuration!)).toEqual({
    'rds/eu-central-1/orders': {
      writer: { file: '/etc/holdpoint/writer-url' },
      reader: { environment: 'READER_URL' },
      writesPerSecond: 50,
    },
  });
});

test('goals of availability are read with the time that they are for', () => {
  const text = `${sound}availability:
  rds/eu-central-1/orders: { goal: 99.99%, per: 365d, overspend: test-change }
`;
  const { configuration, problems } = loadConfiguration(text, 'h.yaml');
  expect(problems).toEqual([]);
  expect(configuration?.availability).toEqual({
    'rds/eu-central-1/orders': { goalPercent: 99.99, perMs: 365 * 86_400_000, overspend: 'test-change' },
  });
});

test('rules are read as they are', () => {
  const rules = `rules:
  - { targets: ['eks/*/prod-*'], changes: [destroys], operate: [sre, ada], start: [people], policy: test-change }
  - settings: [{ action: kubernetes.drain, setting: force, is: true }, { action: kubernetes.drain, setting: nodesAtOnce, above: 9 }]
`;
  const { configuration, problems } = loadConfiguration(`${sound}${rules}`, 'h.yaml');
  expect(problems).toEqual([]);
  expect(configuration?.rules).toEqual([
    { targets: ['eks/*/prod-*'], changes: ['destroys'], operate: ['sre', 'ada'], start: ['people'], policy: 'test-change' },
    {
      settings: [
        { action: 'kubernetes.drain', setting: 'force', is: true },
        { action: 'kubernetes.drain', setting: 'nodesAtOnce', above: 9 },
      ],
    },
  ]);
});

describe('a mistake is reported at its place', () => {
  test.each([
    [
      'a rule with an unknown policy',
      `${sound}rules: [{ policy: test-chnage }]\n`,
      'h.yaml:10:19 error rules[0].policy: There is no policy "test-chnage". Did you mean "test-change"?',
    ],
    [
      'a rule with unknown people',
      `${sound}rules: [{ operate: [ada, sra] }]\n`,
      'h.yaml:10:26 error rules[0].operate[1]: There is no group and nobody in people called "sra". Did you mean "sre"?',
    ],
    [
      'a rule for a kind of change that there is not',
      `${sound}rules: [{ changes: [deletes] }]\n`,
      'h.yaml:10:21 error rules[0].changes[0]: Must be "reads" or "adds" or "changes" or "destroys", but is the text "deletes".',
    ],
    [
      'a rule for no target',
      `${sound}rules: [{ targets: ['prod'] }]\n`,
      'h.yaml:10:21 error rules[0].targets[0]: Must be a target such as kubernetes/lab, with `*` for any characters of one of its parts.',
    ],
    [
      'a rule for an action that there is not',
      `${sound}rules: [{ settings: [{ action: kubernetes.drian, setting: force }] }]\n`,
      'h.yaml:10:32 error rules[0].settings[0].action: There is no action "kubernetes.drian". Did you mean "kubernetes.drain"?',
    ],
    [
      'a rule for a setting that there is not',
      `${sound}rules: [{ settings: [{ action: eks.deleteNodegroup, setting: nodegruop }] }]\n`,
      'h.yaml:10:62 error rules[0].settings[0].setting: eks.deleteNodegroup has no setting "nodegruop". Did you mean "nodegroup"? ' +
        'There are: nodegroup, createdBy.',
    ],
    [
      'two places for evidence',
      `${sound}evidence: { directory: a, s3: { bucket: our-evidence, region: eu-central-1 } }\n`,
      'h.yaml:10:11 error evidence: Must name either a `directory` or a bucket (`s3`), not both.',
    ],
    [
      'two places for artifacts',
      `${sound}artifacts: { directory: a, s3: { bucket: our-artifacts, region: eu-central-1 } }\n`,
      'h.yaml:10:12 error artifacts: Must name either a `directory` or a bucket (`s3`), not both.',
    ],
    [
      'a probe without a URL',
      `${sound}probes: { rds/eu-central-1/orders: { writesPerSecond: 5 } }\n`,
      'h.yaml:10:36 error probes["rds/eu-central-1/orders"]: Must name either `urlFile` or `urlFromEnvironment`, not both.',
    ],
    [
      'an availability of all of the time',
      `${sound}availability: { rds/eu-central-1/orders: { goal: 100%, per: 365d } }\n`,
      'h.yaml:10:50 error availability["rds/eu-central-1/orders"].goal: Must be a percentage below 100 such as 99.99%.',
    ],
    [
      'an availability with a policy that is not there',
      `${sound}availability: { rds/eu-central-1/orders: { goal: 99%, per: 30d, overspend: test-chang } }\n`,
      'h.yaml:10:76 error availability["rds/eu-central-1/orders"].overspend: There is no policy "test-chang". Did you mean "test-change"?',
    ],
    ['a cluster of etcd without endpoints', `${sound}etcd: { prod: { endpoints: [] } }\n`, 'h.yaml:10:28 error etcd.prod.endpoints: '],
    [
      'an endpoint that is none',
      `${sound}etcd: { prod: { endpoints: ['10.0.0.1:2379'] } }\n`,
      'h.yaml:10:29 error etcd.prod.endpoints[0]: Must be an address such as https://10.0.0.1:2379.',
    ],
    [
      'an endpoint twice',
      `${sound}etcd: { prod: { endpoints: ['http://a:1', 'http://a:1'] } }\n`,
      'h.yaml:10:43 error etcd.prod.endpoints[1]: "http://a:1" is in the list twice.',
    ],
    [
      'TLS without its files',
      `${sound}etcd: { prod: { endpoints: ['https://a:1'] } }\n`,
      'h.yaml:10:29 error etcd.prod.endpoints[0]: An address with https:// needs `tls`.',
    ],
    [
      'no TLS with its files',
      `${sound}etcd: { prod: { endpoints: ['http://a:1'], tls: { certificateAuthority: c } } }\n`,
      'h.yaml:10:29 error etcd.prod.endpoints[0]: Must begin with https://, as there is `tls`.',
    ],
    [
      'a certificate without its key',
      `${sound}etcd: { prod: { endpoints: ['https://a:1'], tls: { certificateAuthority: c, certificate: d } } }\n`,
      'h.yaml:10:50 error etcd.prod.tls: A `certificate` and its `key` belong together: name both, or neither.',
    ],
    [
      'backups in no place',
      `${sound}etcd: { prod: { endpoints: ['http://a:1'], backups: { keyFile: k } } }\n`,
      'h.yaml:10:53 error etcd.prod.backups: Must name either a `directory` or a bucket (`s3`), not both.',
    ],
    [
      'backups that nothing encrypts',
      `${sound}etcd: { prod: { endpoints: ['http://a:1'], backups: { directory: d } } }\n`,
      'h.yaml:10:53 error etcd.prod.backups: Must name either a `keyFile` or a `kmsKey`: backups hold every Secret',
    ],
    [
      'a cluster without a way to it',
      `${sound}clusters: { lab: {} }\n`,
      'h.yaml:10:18 error clusters.lab: Must name either a `kubeconfig` and a `context` of it, or `inCluster: true`.',
    ],
    [
      'a cluster with two ways to it',
      `${sound}clusters: { lab: { kubeconfig: k, context: c, inCluster: true } }\n`,
      'h.yaml:10:18 error clusters.lab: Must name either a `kubeconfig` and a `context` of it, or `inCluster: true`.',
    ],
    [
      'a kubeconfig without a context',
      `${sound}clusters: { lab: { kubeconfig: k } }\n`,
      'h.yaml:10:18 error clusters.lab: Must name a `context`, too: the current context of a kubeconfig may change',
    ],
    [
      'a cluster that is not in the cluster',
      `${sound}clusters: { lab: { inCluster: false } }\n`,
      'h.yaml:10:31 error clusters.lab.inCluster: Must be true, or left out.',
    ],
    ['a name that no target can have', `${sound}clusters: { Lab: { inCluster: true } }\n`, 'h.yaml:10:13 error clusters.Lab: '],
    [
      'an unknown system',
      `${sound}systems: [ekss]\n`,
      'h.yaml:10:11 error systems[0]: Must be "eks" or "kubernetes" or "autoscaling" or "gate" or "rds" or "etcd" or "backup", but is the',
    ],
    ['no place for evidence', `${sound}evidence: {}\n`, 'h.yaml:10:11 error evidence: Must name either a `directory` or a bucket'],
    [
      'a bucket that can be none',
      `${sound}evidence: { s3: { bucket: Our_Evidence, region: eu-central-1 } }\n`,
      'h.yaml:10:27 error evidence.s3.bucket: Must be the name of a bucket: 3 to 63 small letters',
    ],
    [
      'a prefix that begins with a slash',
      `${sound}evidence: { s3: { bucket: our-evidence, prefix: /a, region: eu-central-1 } }\n`,
      'h.yaml:10:49 error evidence.s3.prefix: Must be names of letters',
    ],
    [
      'a bucket without its region',
      `${sound}evidence: { s3: { bucket: our-evidence } }\n`,
      'h.yaml:10:13 error evidence.s3.region: Is missing.',
    ],
    [
      'an unknown key',
      sound.replace('atLeast: 1,', 'atLeast: 1, atleast: 1,'),
      'h.yaml:9:30 error policies.test-change.atleast: Unknown key. Did you mean "atLeast"?',
    ],
    [
      'an unknown person',
      sound.replace('[ada, grace]', '[ada, grcae, grace]'),
      'h.yaml:6:22 error groups.sre[1]: There is no "grcae" in people. Did you mean "grace"?',
    ],
    [
      'a person twice in a group',
      sound.replace('[ada, grace]', '[ada, grace, ada]'),
      'h.yaml:6:29 error groups.sre[2]: "ada" is in the group twice.',
    ],
    [
      'an unknown group',
      sound.replace('atLeast: 1, of: sre', 'atLeast: 1, of: sra'),
      'h.yaml:9:34 error policies.test-change.of: There is no group "sra". Did you mean "sre"?',
    ],
    [
      'a group that only an object knows',
      sound.replace('atLeast: 1, of: sre', 'atLeast: 1, of: constructor'),
      'h.yaml:9:34 error policies.test-change.of: There is no group "constructor".',
    ],
    [
      'more approvers than people',
      sound.replace('atLeast: 1', 'atLeast: 3'),
      'h.yaml:9:27 error policies.test-change.atLeast: Asks for 3 people, but the group "sre" has 2: the hold could never open.',
    ],
    ['no approvers', sound.replace('atLeast: 1', 'atLeast: 0'), 'h.yaml:9:27 error policies.test-change.atLeast: Must be at least 1.'],
    ['an empty group', sound.replace('groups: {', 'groups: { none: [],'), 'h.yaml:6:17 error groups.none: Must have at least 1 entries.'],
    [
      'a key of another length',
      sound.replace(graceKey, 'AAAA'),
      'h.yaml:5:30 error people.grace.key: Must be an Ed25519 public key: the `x` of its JWK, 43 characters of base64url.',
    ],
    [
      'a key in another alphabet',
      sound.replace(adaKey, adaKey.replace('_', '/')),
      'h.yaml:4:26 error people.ada.key: Must be an Ed25519 public key',
    ],
    [
      'the same key for two people',
      sound.replace(graceKey, adaKey),
      'h.yaml:5:30 error people.grace.key: Is also the key of "ada"; everyone needs their own, or one person could sign twice.',
    ],
    [
      'a duration that is none',
      sound.replace('90s', '90 seconds'),
      'h.yaml:8:94 error policies.production-change.expires: Must be a duration such as 90s, 15m, 4h, 2d or PT4H30M.',
    ],
    [
      'a duration of nothing',
      sound.replace('90s', '0s'),
      'h.yaml:8:94 error policies.production-change.expires: Must be a duration such as',
    ],
    [
      'a duration without end',
      sound.replace('90s', '31d'),
      'h.yaml:8:94 error policies.production-change.expires: Must be 30 days at most.',
    ],
    [
      'an exclusion that is not known',
      sound.replace('[requester]', '[requestor]'),
      'h.yaml:8:55 error policies.production-change.exclude[0]: Must be "requester", "earlier-approvers" or somebody in people',
    ],
    [
      'a person who is excluded twice',
      sound.replace('[requester]', '[requester, requester]'),
      'h.yaml:8:66 error policies.production-change.exclude[1]: "requester" is there twice.',
    ],
    [
      'nobody left who could sign',
      sound.replace('[requester]', '[ada]'),
      'h.yaml:8:22 error policies.production-change: Asks for more different people than its groups have, without ada: the',
    ],
    [
      'more rejections than people',
      sound.replace('atLeast: 1, of: sre', 'atLeast: 1, of: sre, deny: 3'),
      'h.yaml:9:45 error policies.test-change.deny: Asks for 3 rejections, but only 2 people may decide: nobody could close the hold.',
    ],
    [
      'somebody unknown who may break the glass',
      sound.replace('atLeast: 1, of: sre', 'atLeast: 1, of: sre, breakGlass: [zoe]'),
      'h.yaml:9:52 error policies.test-change.breakGlass[0]: Must be somebody in people, but is "zoe".',
    ],
    [
      'somebody who is excluded by name and may break the glass',
      sound.replace('atLeast: 1, of: sre', 'atLeast: 1, of: sre, exclude: [grace], breakGlass: [grace]'),
      'h.yaml:9:70 error policies.test-change.breakGlass[0]: "grace" is excluded by name, and cannot break the glass.',
    ],
    [
      'a reminder that comes too often until a window closes',
      sound.replace('expires: 90s', "expires: at the window's close, remind: 5m"),
      'h.yaml:8:125 error policies.production-change.remind: Is too often for a hold that closes with a window',
    ],
    [
      'two ways at once to say who signs',
      sound.replace('{ atLeast: 1, of: sre }', '{ atLeast: 1, of: sre, any: [{ atLeast: 1, of: sre }] }'),
      'h.yaml:9:16 error policies.test-change: Must ask for one thing: `atLeast` and `of`, or `all`, or `any`.',
    ],
    [
      'an unknown group deep within',
      sound.replace('{ atLeast: 1, of: sre }', '{ all: [{ any: [{ atLeast: 1, of: dba }] }] }'),
      'h.yaml:9:50 error policies.test-change.all[0].any[0].of: There is no group "dba".',
    ],
    [
      'an unknown key deep within',
      sound.replace('{ atLeast: 1, of: sre }', '{ all: [{ atleast: 1, of: sre }] }'),
      'h.yaml:9:26 error policies.test-change.all[0].atleast: Unknown key. Did you mean "atLeast"?',
    ],
    [
      'nothing to meet',
      sound.replace('{ atLeast: 1, of: sre }', '{ all: [] }'),
      'h.yaml:9:23 error policies.test-change.all: Must have at least 1 entries.',
    ],
    [
      'a number without its group',
      sound.replace('{ atLeast: 1, of: sre }', '{ atLeast: 1 }'),
      'h.yaml:9:3 error policies.test-change.of: Is missing.',
    ],
    [
      'more than the limits allow',
      sound.replace('{ atLeast: 1, of: sre }', '{ all: [{ all: [{ all: [{ all: [{ all: [{ any: [{ atLeast: 1, of: sre }] }] }] }] }] }] }'),
      'h.yaml:9:16 error policies.test-change: `all` and `any` stand in each other 5 deep at most.',
    ],
    [
      'the same two people for three places of two groups',
      sound.replace('{ atLeast: 1, of: sre }', '{ all: [{ atLeast: 2, of: sre }, { atLeast: 1, of: sre }] }'),
      'h.yaml:9:16 error policies.test-change: Asks for more different people than its groups have: the hold could never open.',
    ],
    [
      'a person id with capitals',
      sound.replace('  ada:', '  Ada:').replace('[ada', '[Ada'),
      'h.yaml:4:3 error people.Ada: Must be made of small letters, digits',
    ],
    ['a missing part', sound.replace(/^groups.*$/m, ''), 'h.yaml:1:1 error groups: Is missing.'],
    [
      'another kind of document',
      sound.replace('kind: Configuration', 'kind: Runbook'),
      'h.yaml:2:7 error kind: Must be "Configuration", but is the text "Runbook".',
    ],
  ])('%s', (_title, text, expected) => {
    expect(problemsOf(text).map((line) => line.slice(0, expected.length))).toEqual([expected]);
  });

  test('a third person is welcome', () => {
    const text = sound.replace('groups:', `  linus: { name: Linus, key: ${linusKey} }\ngroups:`);
    expect(loadConfiguration(text, 'h.yaml').problems).toEqual([]);
  });
});

test.each([
  ['90s', 90_000],
  ['15m', 900_000],
  ['4h', 14_400_000],
  ['2d', 172_800_000],
  ['PT4H30M', 16_200_000],
  ['P1DT1S', 86_401_000],
  ['P1D', 86_400_000],
  ['P', undefined],
  ['PT', undefined],
  ['P1DT', undefined],
  ['4', undefined],
  ['4 h', undefined],
  ['-4h', undefined],
  ['1.5h', undefined],
])('the duration %s is %s milliseconds', (text, expected) => {
  expect(parseDurationMs(text)).toBe(expected);
});
