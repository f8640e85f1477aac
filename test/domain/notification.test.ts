import { describe, expect, test } from '@jest/globals';
import type { EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import { channelsFor, eventOf, messageOf, problemsOfTemplate, testMessage } from '../../domain/notification.ts';

const hash = `sha256:${'ab'.repeat(32)}`;
const shown = `sha256:${'ab'.repeat(16)}`;
const started = entry('run.started', { person: 'dana', target: 'kubernetes/lab', runbookName: 'node-maintenance' }, 1);
const policy = { name: 'production', atLeast: 2, of: 'sre' };
const opened = entry('hold.requested', {
  hold: 'sign',
  number: 1,
  question: 'Move 3 pods?',
  planHash: hash,
  policy,
  expiresAt: '2026-11-28T20:00:00.000Z',
  drift: null,
});

function entry(kind: string, body: JsonObject, sequence = 5): EvidenceEntry {
  return { sequence, at: '2026-11-28T16:00:00.000Z', run: 'r-1', kind, body, previous: hash, hash };
}

test('a message of a hold says what is asked, of whom, by when, and the commands with the hash, last', () => {
  const message = messageOf(started, opened);
  expect(message).toMatchObject({ id: 'r-1/5', event: 'opened', title: 'Approval needed: hold sign of r-1 on kubernetes/lab' });
  expect(message?.text).toBe(
    [
      'Approval needed: hold sign of r-1 on kubernetes/lab',
      'Runbook: node-maintenance, started by dana',
      "Question, in its author's words: Move 3 pods?",
      'Signatures: 2 of sre (policy production)',
      'By: 2026-11-28T20:00:00.000Z (silence never approves)',
      `Plan: ${shown}`,
      '',
      'holdpoint show r-1',
      `holdpoint approve r-1 --plan ${shown}`,
    ].join('\n'),
  );
});

test('what is stuck and what has ended is told with its reason; a repeat and a test are marked', () => {
  const stuck = entry('step.stuck', { step: 'drain', code: 'action-stuck', reason: 'A PDB is in the way.', remedy: 'Ask its owner.' });
  expect(messageOf(started, stuck)?.text).toContain('Stuck: step drain of r-1 on kubernetes/lab');
  expect(messageOf(started, stuck)?.text).toContain('What to do: Ask its owner.\n\nholdpoint show r-1');
  const done = entry('run.ended', { phase: 'aborted', reason: 'aborted by dana', leftovers: [] });
  const repeat = messageOf(started, done, { mark: 'repeat' });
  expect(repeat).toMatchObject({ id: 'r-1/5', mark: 'repeat', title: '[repeat] Ended (aborted): r-1 on kubernetes/lab' });
  expect(repeat?.text.split('\n')[1]).toContain('may be a repeat');
  expect(testMessage('test/1', '').title).toBe('[test] This channel works');
});

test('a reminder and an escalation say what is asked, as the hold did, and go where its policy is told of', () => {
  const { number: request, drift: _drift, ...asked } = opened.body;
  const reminded = entry('hold.reminded', { ...asked, request: request!, number: 2 });
  const lines = (from: EvidenceEntry): string[] => messageOf(started, from)?.text.split('\n') ?? [];
  expect(lines(reminded)[0]).toBe('Reminder, approval needed: hold sign of r-1 on kubernetes/lab');
  expect(lines(reminded).slice(1)).toEqual(lines(opened).slice(1));
  const escalated = entry('hold.escalated', { ...asked, request: request!, to: 'leads' });
  expect(lines(escalated).slice(0, 2)).toEqual([
    'Escalated, approval needed: hold sign of r-1 on kubernetes/lab',
    'People of leads may sign as well',
  ]);
  expect(channelsFor([{ groups: ['sre'], events: ['reminder', 'escalated'], channels: ['a'] }], reminded)).toEqual(['a']);
  expect(channelsFor([{ policies: ['production'], events: ['escalated'], channels: ['a'] }], escalated)).toEqual(['a']);
});

test('a window that closes while a step says page is told, and one that does not open again is stuck', () => {
  const closed = (atClose: string) =>
    entry('window.closed', { calendar: 'night', step: 'drain', closesAt: '2026-11-28T19:00:00.000Z', atClose });
  expect(eventOf(closed('finish-step'))).toBeUndefined();
  const text = messageOf(started, closed('page'))?.text;
  expect(text).toContain('The window has closed while step drain goes on: r-1 on kubernetes/lab');
  expect(text).toContain('Closed: 2026-11-28T19:00:00.000Z\nWhat to do: Nothing, if it may go on');
  expect(messageOf(started, closed('undo'))?.text).toContain('What to do: Nothing: the step is stopped, and what the run has changed is');
  const parked = (opensAt: string | null) => entry('window.parked', { step: 'drain', state: 'shut', reason: 'It is shut.', opensAt });
  expect(eventOf(parked('2026-11-28T19:00:00.000Z'))).toBeUndefined();
  expect(messageOf(started, parked(null))?.text).toContain('Reason: It is shut.');
});

test('nothing that somebody else has written can begin a line, or be obeyed', () => {
  const nasty = { ...opened, body: { ...opened.body, question: 'Yes?\r\nBcc: all@example.com\u202e\u001b[2J {run}' } };
  const lines = messageOf(started, nasty)?.text.split('\n') ?? [];
  expect(lines).toHaveLength(9);
  // A placeholder in it is text, too.
  expect(lines[2]).toBe(String.raw`Question, in its author's words: Yes?\r\nBcc: all@example.com\u202e\x1b[2J {run}`);
  const long = { ...opened, body: { ...opened.body, question: 'x'.repeat(100_000) } };
  expect(messageOf(started, long)?.text.length).toBeLessThan(1_200);
  const forged = { ...opened, body: { ...opened.body, planHash: '; rm -rf /' } };
  expect(messageOf(started, forged)?.text).not.toContain('rm -rf');
});

describe('routes', () => {
  const drifted = { ...opened, body: { ...opened.body, drift: { steps: [] } } };

  test('match by event, policy and group, each channel once', () => {
    const routes = [
      { events: ['opened' as const], policies: ['production'], channels: ['a', 'b'] },
      { groups: ['sre'], channels: ['b', 'c'] },
      { groups: ['dba'], channels: ['d'] },
      { events: ['done' as const], channels: ['e'] },
    ];
    expect(channelsFor(routes, opened)).toEqual(['a', 'b', 'c']);
    expect(channelsFor(routes, entry('run.ended', { phase: 'done' }))).toEqual(['e']);
    expect(channelsFor(routes, entry('step.started', { step: 'drain' }))).toEqual([]);
  });

  test('a group is found in a policy of policies', () => {
    const body = { ...opened.body, policy: { name: 'x', all: ['-', { any: [{ atLeast: 1, of: 'dba' }] }] } };
    expect(channelsFor([{ groups: ['dba'], channels: ['d'] }], { ...opened, body })).toEqual(['d']);
  });

  test('a hold that opens again after drift is told as that, also to who wants to know of holds that open', () => {
    expect(eventOf(drifted)).toBe('drift');
    expect(channelsFor([{ events: ['opened'], channels: ['a'] }], drifted)).toEqual(['a']);
    expect(channelsFor([{ events: ['drift'], channels: ['a'] }], opened)).toEqual([]);
    expect(messageOf(started, drifted)?.title).toMatch(/^The plan has changed, approval needed anew/);
  });

  test('nobody is told of a run that was refused', () => {
    expect(eventOf(entry('run.ended', { phase: 'refused' }))).toBeUndefined();
  });
});

test('a template replaces the text; an unknown placeholder is named', () => {
  const templateOf = (): string => '{target} waits\nTicket: {ticket}\nSign {plan} by {by}';
  expect(messageOf(started, opened, { templateOf })?.text).toBe(`kubernetes/lab waits\nSign ${shown} by 2026-11-28T20:00:00.000Z`);
  expect(problemsOfTemplate('{target} {plam}')).toEqual([expect.stringContaining('There is no placeholder {plam}')]);
  expect(problemsOfTemplate('')).toHaveLength(1);
  expect(problemsOfTemplate('x'.repeat(9_000))).toHaveLength(1);
});

test('a message names the page of what it is about, where it is known where the pages are', () => {
  const textOf = (from: EvidenceEntry): string => messageOf(started, from, { pagesUrl: 'https://h.example.com' })?.text ?? '';
  const request = entry('hold.requested', { ...opened.body, number: 2 });
  expect(textOf(request)).toContain('\nhttps://h.example.com/runs/r-1/holds/');
  expect(textOf(request)).toMatch(/\/2\nholdpoint show r-1/);
  expect(textOf(entry('step.stuck', { step: 'drain', reason: 'x', remedy: 'y' }))).toContain('\nhttps://h.example.com/runs/r-1\n');
  expect(messageOf(started, request)?.text).not.toContain('https://');
});
