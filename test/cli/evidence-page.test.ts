import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Signer } from '../../client/signing.ts';
import type { EntrySigner } from '../../activities/evidence/record.ts';
import { unseenIn } from '../../domain/visible.ts';
import { createHostilePage, type HostilePage } from '../support/hostile-page.ts';
import { openPage, partsOf } from '../support/page-in-vm.ts';
import { runCommand } from '../support/run-command.ts';

let made: HostilePage;
let worker: EntrySigner;
let ann: Signer;
let bob: Signer;
let run: string;
let directory: string;
let record: string;
let configuration: string;
let html: string;

beforeAll(async () => {
  made = await createHostilePage();
  ({ worker, ann, bob, run, directory, record, configuration, html } = made);
});
afterAll(() => made.remove());

describe('the page of a record', () => {
  test.each([
    ['the cryptography of the browser', true],
    ['its own', false],
  ])('verifies the record by itself with %s, and says what is proven', async (_what, withCrypto) => {
    const page = await openPage(html, { withCrypto });
    const shown = page.textContent;
    expect(shown).toContain(`✓ ${run}: 10 entries, 2 signatures (ann and bob). Verified by this page just now`);
    expect(shown).toContain('bob signed the plan of hold sign-drain (request 1; 1 of sre, not the requester) before its steps began.');
    expect(shown).toContain('Every entry was written by a worker of holdpoint.yaml (blue)');
    expect(shown).toContain('The second place has 3 heads of this record');
    expect(shown).toContain('That the world was as the worker has seen it');
    expect(page.all().filter(({ className }) => className === 'verdict broken')).toEqual([]);
  });

  test('shows who signed what, word for word, with the hash of the text that it shows, and whose the keys are', async () => {
    const page = await openPage(html);
    const texts = page.all().flatMap(({ tag, textContent }) => (tag === 'pre' ? [textContent] : []));
    const statement = texts.find((text) => text.includes('"kind":"decision"')) ?? '';
    expect(JSON.parse(statement)).toMatchObject({ person: 'bob', hold: 'sign-drain', decision: 'approve', reason: 'Grüße: gelesen' });
    const { planHash } = JSON.parse(statement) as { planHash: string };
    expect(texts.map((text) => `sha256:${createHash('sha256').update(text).digest('hex')}`)).toContain(planHash);
    const rows = page.all().flatMap(({ tag, textContent }) => (tag === 'tr' ? [textContent] : []));
    const fingerprint = `sha256:${createHash('sha256').update(bob.publicKey).digest('hex')}`;
    expect(rows).toContain(`bob (person)${bob.publicKey}${fingerprint}${configuration}`);
    expect(rows.join('\n')).toContain(`blue (worker)${worker.publicKey}`);
    expect(page.textContent).toContain('Node/a: drain');
    expect(page.textContent).toContain('Signed by bob (approve).');
  });

  test('without a holdpoint.yaml says that the keys are from the record itself', async () => {
    const file = path.join(directory, 'alone.html');
    await runCommand('evidence', 'show', record, '--html', '--out', file);
    const { textContent } = await openPage(await readFile(file, 'utf8'));
    expect(textContent).toContain(`✓ ${run}`);
    expect(textContent).toContain('the record itself: whose it is, is not proven');
    expect(textContent).toContain('no second place (anchor:) was compared');
  });

  test('loads nothing, and lets no other script run', () => {
    const { script, data, policy } = partsOf(html);
    const frame = html.replace(script, '').replace(data, '');
    const hash = createHash('sha256').update(script).digest('base64');
    expect(policy).toContain(`default-src 'none'; script-src 'sha256-${hash}'; style-src 'sha256-`);
    expect(policy).not.toContain('unsafe');
    // Neither the record nor the script begins or ends an element.
    expect(html.match(/<\/?(script|link|img|iframe|object|form|base|style)\b|<!--/gi)).toEqual([
      '<style',
      '</style',
      '<script',
      '</script',
      '<script',
      '</script',
    ]);
    expect(frame).not.toMatch(/\s(src|href|on\w+)=/i);
    expect(html).not.toContain('Secretive');
  });

  test('takes no name for anything but text', async () => {
    expect(unseenIn(html.replace(/[\n\t]/g, ''))).toBeUndefined();
    const page = await openPage(html);
    expect(page.textContent).toContain('step drain was done: </script><img src=x onerror=alert(1)><!-- \\u2028 \\u202e \\u200b &lt; "');
    expect(page.all().filter(({ tag }) => ['script', 'img'].includes(tag))).toEqual([]);
  });

  test('is written once, for its owner only', async () => {
    const file = path.join(directory, 'page.html');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await runCommand('evidence', 'show', record, '--html', '--out', file)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('EEXIST: file already exists'),
    });
    expect(await runCommand('evidence', 'show', record, '--out', file)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--out is for a page'),
    });
  });
});

describe('a page that was edited after it was made', () => {
  const edits: [string, (data: string) => string, string][] = [
    ['in one byte of an entry', (data) => data.replace('drain was', 'drain is').replace('Drain?', 'Drain!'), 'was changed: its hash is'],
    [
      'in one byte of a hash',
      (data) => data.replace(/(\\"hash\\":\\"sha256:)(.)/, (_all, head: string, digit: string) => head + (digit === '0' ? '1' : '0')),
      'was changed',
    ],
    ['in one byte of what is kept beside it', (data) => data.replace('xxxxxxxx', 'xxxyxxxx'), 'which was changed'],
    [
      'in a signature of a person',
      (data) => data.replace(/(\\"jws\\":\\"[^"]*\.)(.)/, (_all, head: string, last: string) => head + (last === 'A' ? 'B' : 'A')),
      'BROKEN',
    ],
    [
      'in a key that it trusts',
      (data) => data.replace(`"bob":{"key":"${bob.publicKey}"`, `"bob":{"key":"${ann.publicKey}"`),
      'cannot be vouched for',
    ],
    [
      'in the key of a worker',
      (data) => data.replace(`"blue":{"key":"${worker.publicKey}"`, `"blue":{"key":"${ann.publicKey}"`),
      'has for no worker',
    ],
    [
      'by cutting off the last entry',
      (data) => data.replace(/\{\\"at\\":[^\n]*?\\"kind\\":\\"run\.ended\\".*?\\n"/, '"'),
      'it was cut off',
    ],
    ['so that it is no JSON', (data) => data.slice(1), 'the data of this page cannot be read'],
  ];

  test.each(edits)('%s shows as broken', async (_what, edit, sentence) => {
    const { data } = partsOf(html);
    const edited = edit(data);
    expect(edited).not.toBe(data);
    const page = await openPage(html.replace(data, () => edited));
    const verdicts = page.all().filter(({ className }) => className.startsWith('verdict'));
    expect(verdicts.map(({ className }) => className)).toEqual(['verdict broken']);
    expect(page.textContent).toContain('BROKEN');
    expect(page.textContent).toContain(sentence);
    expect(page.textContent).not.toContain('✓ r-');
  });

  // What is written in the page is escaped, as the program that makes it does.
  test('in any of a hundred places of the record shows as broken', async () => {
    const { data } = partsOf(html);
    const { text, ...rest } = JSON.parse(data) as { text: string };
    for (let place = 7; place < text.length; place += Math.ceil(text.length / 100)) {
      const other = String.fromCharCode(text.charCodeAt(place) ^ 1);
      const changed = JSON.stringify({ ...rest, text: text.slice(0, place) + other + text.slice(place + 1) }).replaceAll('<', '\\u003c');
      const page = await openPage(html.replace(data, () => changed));
      expect({ place, verdict: page.all().find(({ className }) => className.startsWith('verdict'))?.className }).toEqual({
        place,
        verdict: 'verdict broken',
      });
    }
  });
});
