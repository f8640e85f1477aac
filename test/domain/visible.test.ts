import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cut, unseenIn, visible, visibleJson } from '../../domain/visible.ts';

/** What a terminal may obey, hide or reorder. */
const dangerous = /[\p{Cc}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/u;

describe('somebody else’s text', () => {
  test.each([
    ['an escape code that hides text', '\u001b[8mhidden', '\\x1b[8mhidden'],
    ['an escape code of one character (C1)', '\u009b2J', '\\x9b2J'],
    ['a title of the window (OSC 0)', '\u001b]0;root\u0007', '\\x1b]0;root\\x07'],
    ['text for the clipboard (OSC 52)', '\u001b]52;c;cm0=\u001b\\', '\\x1b]52;c;cm0=\\x1b\\'],
    ['lines', 'one\ntwo\r\nthree\ttab\u2028four', 'one\\ntwo\\r\\nthree\\ttab\\u2028four'],
    ['a line that is written over', 'delete\b\b\b\b\b\bkeep', 'delete\\x08\\x08\\x08\\x08\\x08\\x08keep'],
    ['text in another direction', 'a\u202eb\u2066c', 'a\\u202eb\\u2066c'],
    ['what has no width', 'pay\u200bments\ufeff\u2060', 'pay\\u200bments\\ufeff\\u2060'],
    ['what is empty, and no space', 'a\u3164b\u2800c\u115f', 'a\\u3164b\\u2800c\\u115f'],
    ['tags that nobody sees', 'a\u{e0041}', 'a\\u{e0041}'],
    ['half a character', 'a\ud83d!', 'a\\ud83d!'],
    ['a tower of marks', `a${'\u0301'.repeat(6)}`, `a${'\u0301'.repeat(4)}\\u0301\\u0301`],
  ])('is shown and not obeyed: %s', (_name, text, shown) => {
    expect(visible(text)).toBe(shown);
    expect(unseenIn(text)).toMatchObject({ at: expect.any(Number) });
    expect(unseenIn(shown)).toBeUndefined();
  });

  test.each(['노드 그룹을 교체합니까?', 'Größe: 5 µs – “ok” ✓', 'किताब', 'ip-10-0-0-4.eu-central-1.compute.internal', '🚀 日本語'])(
    'that is harmless stays as it is: %s',
    (text) => {
      expect(visible(text)).toBe(text);
      expect(unseenIn(text)).toBeUndefined();
    },
  );

  test('is harmless whatever it is, and made so once only', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const shown = visible(text);
        expect(shown).not.toMatch(dangerous);
        expect(visible(shown)).toBe(shown);
        expect(JSON.parse(visibleJson(JSON.stringify(text)))).toBe(text);
        expect(visibleJson(JSON.stringify(text))).not.toMatch(dangerous);
      }),
    );
  });

  test('is cut where it is too long, and says so', () => {
    expect(visible('\u001b'.repeat(1_000_000), 30)).toHaveLength(30);
    expect(visible('x'.repeat(300), 253)).toMatch(/^x+… \(300 characters\)$/);
    expect(cut(`${'x'.repeat(13)}🚀${'x'.repeat(30)}`, 31)).toBe(`${'x'.repeat(13)}… (45 characters)`);
    expect(cut('short', 253)).toBe('short');
  });
});
