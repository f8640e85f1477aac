import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readAvailabilityByHand } from '../../../activities/availability/by-hand.ts';
import { AvailabilityLedger } from '../../../activities/availability/ledger.ts';
import { withAvailability } from '../../../activities/availability/spending.ts';
import { createEvidenceDirectory } from '../../../activities/evidence/directory.ts';
import { EvidenceError } from '../../../activities/evidence/store.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { StepPlan } from '../../../domain/plan/plan.ts';
import { interrupts } from '../../../runbooks/actions/index.ts';
import type { Configuration } from '../../../runbooks/configuration/configuration.ts';
import { policiesOf } from '../../../runbooks/configuration/policies.ts';

const target = 'rds/eu-central-1/orders';
const dayMs = 86_400_000;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-availability-'));
});
afterAll(() => rm(directory, { recursive: true }));

const store = () => createEvidenceDirectory(path.join(directory, 'evidence'));
const configuration: Configuration = {
  people: {},
  groups: { dba: ['ada', 'bela'] },
  policies: policiesOf({ one: { atLeast: 1, of: 'dba' }, two: { atLeast: 2, of: 'dba' } }),
  availability: { [target]: { goalPercent: 99.9, perMs: 30 * dayMs, overspend: 'two' } },
};

async function recordRun(run: string, refusedMs: number, of = target): Promise<void> {
  const evidence = store();
  await new AvailabilityLedger(evidence, interrupts).enter(target, run);
  const outage = { measured: true, writesRefusedMs: { atLeastMs: refusedMs, atMostMs: refusedMs } };
  const bodies: [string, JsonObject][] = [
    ['run.started', { target: of }],
    ['step.started', { step: 'f', uses: 'rds.failover', effects: [{}] }],
    ['step.done', { step: 'f', outputs: { outage } }],
    ['run.ended', {}],
  ];
  for (const [index, [kind, body]] of bodies.entries()) await evidence.append(run, { sequence: index + 1, kind, body });
}

const effects = [{ object: 'Database/orders', change: 'fail over', before: 'a', after: 'b' }];
const plan = { effects, facts: {}, risks: [], blockers: [], notes: [], details: {}, outputs: {}, estimateMs: 0 };
const step: StepPlan = { id: 'f', uses: 'rds.failover', input: {}, plan };

test('outages are found by the index and read from the records, whatever Temporal has forgotten', async () => {
  const today = new Date().toISOString().slice(0, 10).replaceAll('-', '');
  await recordRun(`r-${today}-aaaaaa`, 1_000);
  await recordRun(`r-${today}-bbbbbb`, 3_000);
  await recordRun(`r-${today}-cccccc`, 9_000_000, 'rds/eu-central-1/other');
  await recordRun('r-20200101-dddddd', 9_000_000);
  const ledger = new AvailabilityLedger(store(), interrupts);
  // A run that was killed before its record said so is looked at in vain.
  await ledger.enter(target, `r-${today}-eeeeee`);
  await ledger.enter(target, `r-${today}-eeeeee`);
  const found = await ledger.read(target, Date.now() - 30 * dayMs);
  expect(found.map(({ refusedMs }) => refusedMs?.atMostMs)).toEqual([1_000, 3_000]);
  const given = { file: path.join(directory, 'holdpoint.yaml'), configuration };
  expect(await readAvailabilityByHand(target, given, Date.now())).toMatchObject({
    standing: { budgetMs: 2_592_000, spentMs: 4_000, changes: 2 },
    costs: [{ uses: 'rds.failover', measured: 2, worstMs: 3_000 }],
  });
});

test('a hold may overspend whose policy is no weaker than the one for that', async () => {
  const spent = {
    read: async () => [
      { run: 'r', step: 'f', uses: 'rds.failover', at: new Date().toISOString(), refusedMs: { atLeastMs: 0, atMostMs: 3e6 } },
    ],
  };
  const blockersFor = async (policy: string | undefined) =>
    (await withAvailability({ configuration, ledger: spent, interrupts }, { target, policy }, [step]))[0]?.plan.blockers.length;
  expect([await blockersFor(undefined), await blockersFor('one'), await blockersFor('two'), await blockersFor('gone')]).toEqual([
    1, 1, 0, 1,
  ]);
  const elsewhere = await withAvailability({ configuration, ledger: spent, interrupts }, { target: 'rds/eu-central-1/x', policy: 'one' }, [
    step,
  ]);
  expect(elsewhere).toEqual([step]);
});

test('where a record is damaged nothing is known, and the plan says so', async () => {
  const run = 'r-20990101-aaaaaa';
  await recordRun(run, 1);
  await writeFile(path.join(directory, 'evidence', run, '000000002.json'), '{}\n');
  const ledger = new AvailabilityLedger(store(), interrupts);
  await expect(ledger.read(target, 0)).rejects.toThrow(EvidenceError);
  const [judged] = await withAvailability({ configuration, ledger, interrupts }, { target, policy: 'one' }, [step]);
  expect(judged?.plan.blockers[0]?.reason).toContain('is not known: The record');
});
