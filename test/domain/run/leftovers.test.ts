import { expect, test } from '@jest/globals';
import { leftoverText, type LastLook } from '../../../domain/run/leftovers.ts';

const progress = { summary: '2 of 6 nodes replaced', done: 2, total: 6, unit: 'nodes', items: [] };
const goesOn = 'update u-1 goes on in EKS';

test.each<[string, { finished: boolean; kept?: string }, LastLook | undefined, string]>([
  ['done and there', { finished: true }, { state: 'done', outputs: {}, progress }, 'was done and stays: 2 of 6 nodes replaced'],
  ['done, nobody has looked', { finished: true }, undefined, 'was done and stays'],
  [
    'done, and gone since',
    { finished: true },
    { state: 'stuck', reason: 'Node group green no longer exists.', remedy: '' },
    'was done, and is not as it left it any more: Node group green no longer exists',
  ],
  [
    'done, and taken back',
    { finished: true },
    { state: 'todo' },
    'was done, and is not as it left it any more: what it was to change is not there',
  ],
  ['stopped', { finished: false }, { state: 'todo', progress }, 'was stopped before its end: 2 of 6 nodes replaced'],
  ['stopped before it began', { finished: false }, { state: 'todo', progress, untouched: true }, 'was stopped before it changed anything'],
  ['stopped, and done', { finished: false }, { state: 'done', outputs: {} }, 'was stopped, and is done all the same'],
  [
    'stopped, and going on in AWS',
    { finished: false },
    { state: 'todo', progress, goesOn },
    'was stopped before its end: 2 of 6 nodes replaced; update u-1 goes on in EKS',
  ],
  [
    'stopped, and moving',
    { finished: false },
    { state: 'moving', progress },
    'was stopped before its end: 2 of 6 nodes replaced; it goes on by itself',
  ],
  [
    'stopped, and nobody could look',
    { finished: false },
    { unread: 'AWS did not answer.' },
    'was stopped before its end; how it stands now could not be read: AWS did not answer.',
  ],
  ['kept', { finished: true, kept: 'EKS does not take it back' }, undefined, 'stays: EKS does not take it back'],
])('what a step has left: %s', (_name, performed, seen, text) => {
  expect(leftoverText({ id: 'update', uses: 'eks.x', performed }, seen)).toBe(`step update (eks.x) ${text}`);
});
