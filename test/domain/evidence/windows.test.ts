import { expect, test } from '@jest/globals';
import { meaningOf, type WholeEntry } from '../../../domain/evidence/meaning.ts';
import type { JsonObject } from '../../../domain/json.ts';
import { planOfStep, writtenOfRun, type Written } from '../../support/signed-record.ts';

const run = 'r-20261128-window';
const left = planOfStep('drain', 'drain');
const entry = (kind: string, body: JsonObject): Written => ({ kind, body });
const parked = entry('window.parked', { calendar: 'night', step: 'drain', state: 'shut', reason: 'It is shut.', opensAt: null });
const resumed = (signatures: string, planHash = left.hash): Written =>
  entry('window.resumed', { calendar: 'night', closesAt: null, planHash, signatures, difference: [] });

/** What is wrong with a record in which these entries stand before the step that changes something; signatures are taken for good. */
async function problemsWith(...entries: Written[]): Promise<string[]> {
  let signatures = 0;
  const signerOf = (person: string) => ({ person, publicKey: person, sign: async () => `signed-${(signatures += 1)}` });
  const written = await writtenOfRun(run, signerOf('dana'), signerOf('ada'));
  const place = written.findIndex(({ kind, body }) => kind === 'step.started' && body.step === 'drain');
  written.splice(place, 0, ...entries);
  const whole = written.map(({ kind, body }, index): WholeEntry => {
    const at = new Date().toISOString();
    return { line: index + 1, isSigned: true, entry: { sequence: index + 1, at, run, kind, body, previous: '', hash: '' } };
  });
  return meaningOf(whole).problems.map(({ sentence }) => sentence);
}

test('a run that was parked and went on under the plan that was signed is in order', async () => {
  await expect(problemsWith()).resolves.toEqual([]);
  await expect(problemsWith(parked, parked, resumed('kept'))).resolves.toEqual([]);
});

test('a step that begins while the run is parked is a problem', async () => {
  await expect(problemsWith(parked)).resolves.toEqual([expect.stringContaining('begins step drain while the run was parked')]);
});

test('signatures that are kept for another plan, or not kept and used all the same, are a problem', async () => {
  const other = planOfStep('drain', 'delete').hash;
  await expect(problemsWith(parked, resumed('kept', other))).resolves.toEqual([expect.stringContaining(`keeps signatures for ${other}`)]);
  await expect(problemsWith(parked, resumed('void'))).resolves.toEqual([
    expect.stringContaining('begins step drain under signatures that were void by then'),
  ]);
});

test('an exception that nobody has signed is a problem', async () => {
  const exception = entry('window.exception', {
    calendar: 'night',
    planHash: left.hash,
    opensAt: null,
    askedBy: 'dana',
    signedBy: ['ada'],
  });
  await expect(problemsWith(parked, exception, resumed('kept'))).resolves.toEqual([
    expect.stringContaining('rests on signatures for proceed that are not in the record'),
  ]);
});

test('a rollback at the close is in order only where a step went on that is undone then', async () => {
  const closed = (step: string, atClose: string): Written => entry('window.closed', { calendar: 'night', step, closesAt: null, atClose });
  await expect(problemsWith(closed('drain', 'undo'))).resolves.toEqual([expect.stringContaining('drain went on when the window closed')]);
  const begun = entry('step.started', { step: 'drain', uses: left.steps[0]!.uses, effects: left.steps[0]!.plan.effects as never });
  const turned = entry('undo.started', { plan: planOfStep('undo:drain', 'uncordon') as never, reason: 'late' });
  const unsigned = expect.stringContaining('begins a rollback that nobody has signed');
  const problemsOf = async (atClose: string) => problemsWith(begun, closed('drain', atClose), turned);
  expect(await problemsOf('undo')).not.toContainEqual(unsigned);
  expect(await problemsOf('page')).toContainEqual(unsigned);
});
