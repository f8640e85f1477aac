import { expect, test } from '@jest/globals';
import type { Configuration, EvidencePlace } from '../../runbooks/configuration/configuration.ts';
import { artifactsPlace, evidencePlace } from '../../worker/configuration-file.ts';

const file = '/etc/holdpoint/holdpoint.yaml';
const bucket = { bucket: 'our-evidence', region: 'eu-central-1' };
const configurationOf = (places: Pick<Configuration, 'evidence' | 'artifacts'>): Configuration => ({
  people: {},
  groups: {},
  policies: {},
  ...places,
});

test.each<[string, Pick<Configuration, 'evidence' | 'artifacts'>, EvidencePlace]>([
  ['beside the evidence of the configuration', {}, { directory: '/etc/holdpoint/artifacts' }],
  ['beside the directory of evidence', { evidence: { directory: '/var/lib/hp/evidence' } }, { directory: '/var/lib/hp/artifacts' }],
  ['in the bucket of evidence', { evidence: { s3: bucket } }, { s3: { ...bucket, prefix: 'artifacts' } }],
  ['below its prefix', { evidence: { s3: { ...bucket, prefix: 'hp/prod/' } } }, { s3: { ...bucket, prefix: 'hp/prod/artifacts' } }],
  ['where the configuration says', { artifacts: { directory: 'snapshots' } }, { directory: '/etc/holdpoint/snapshots' }],
  ['in a bucket that it names', { artifacts: { s3: bucket } }, { s3: bucket }],
])('artifacts are kept %s', (_title, places, expected) => {
  expect(artifactsPlace(file, configurationOf(places))).toEqual(expected);
});

test('evidence is kept beside the configuration where that does not say', () => {
  expect(evidencePlace(file, configurationOf({}))).toEqual({ directory: '/etc/holdpoint/evidence' });
  expect(evidencePlace(file, configurationOf({ evidence: { directory: '../records' } }))).toEqual({ directory: '/etc/records' });
});
