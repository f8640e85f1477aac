import { describe, expect, test } from '@jest/globals';
import { documentBytesMax, documentDepthMax, readDocument } from '../../../runbooks/grammar/document.ts';
import { formatProblem } from '../../../runbooks/grammar/problem.ts';

function problemsOf(text: string): string[] {
  const { value, sourceMap } = readDocument(text, 'd.yaml');
  const problems = sourceMap.problems().map(formatProblem);
  expect(value === undefined).toBe(problems.length > 0);
  return problems;
}

/** Far more than any of these needs, and far less than what an unbounded reader would take. */
const patienceMs = 30_000;

describe('a document is refused', () => {
  test.each([
    ['of two documents', 'a: 1\n---\nb: 2', 'd.yaml:2:1 error The file holds more than one document; split it into files.'],
    ['with a number as a key', '1: a', 'd.yaml:1:1 error A key must be text; put it in quotes.'],
    ['with a list as a key', 'x:\n  ? [a]\n  : b', 'd.yaml:2:5 error x: A key must be text; put it in quotes.'],
    ['with the key __proto__', 'a: { __proto__: 1 }', 'd.yaml:1:6 error a: The key "__proto__" is not allowed.'],
    ['with a key given twice', 'a: 1\nb: 2\na: 3', 'd.yaml:3:1 error a: The key "a" is given twice.'],
    [
      'with a number that is not exact',
      'a: 12345678901234567890',
      'd.yaml:1:4 error a: The number is too large to be exact; put it in quotes.',
    ],
    ['with a number that is none', 'a: .inf', 'd.yaml:1:4 error a: The value has no JSON form.'],
    ['with an alias', 'a: [1, *b]', 'd.yaml:1:8 error a[1]: The alias "*b" is not allowed; write the value out.'],
    ['with an alias as a key', 'a: 1\n*b : 2', 'd.yaml:2:1 error A key must be text; put it in quotes.'],
    ['with an anchor', 'a: &x { n: 1 }', 'd.yaml:1:7 error a: The anchor "&x" is not allowed; write the value out.'],
    ['with an anchor at a key', 'a: 1\n&x b: 2', 'd.yaml:2:4 error The anchor "&x" is not allowed; write the value out.'],
    ['with an anchor around all of it', '&x\na: 1', 'd.yaml:2:1 error The anchor "&x" is not allowed; write the value out.'],
    ['with a tag', 'a: !!js/function x', 'd.yaml:1:4 error Unresolved tag: tag:yaml.org,2002:js/function.'],
    ['with a tab as indentation', 'a:\n\t- b', 'd.yaml:2:1 error Tabs are not allowed as indentation.'],
    [
      'with an escape code in a text',
      'a:\n  b: "x\\e[8mhidden"',
      'd.yaml:2:6 error a.b: Has the character \\x1b, which nobody sees or a terminal obeys; take it out.',
    ],
    [
      'with a key that nobody sees whole',
      '"a\\u200B": 1',
      'd.yaml:1:1 error Has the character \\u200b, which nobody sees or a terminal obeys; take it out.',
    ],
    [
      'with text in another direction in a comment',
      'a: 1 # \u202eno',
      'd.yaml:1:8 error Has the character \\u202e, which nobody sees or a terminal obeys; take it out.',
    ],
    ['that is empty', '# nothing\n', 'd.yaml:1:1 error The file is empty.'],
  ])('%s', (_title, text, expected) => {
    expect(problemsOf(text)).toEqual([expected]);
  });

  test('of five megabytes, at once', () => {
    const text = 'a: x\n'.repeat(1_000_000);
    const started = performance.now();
    expect(problemsOf(text)).toEqual([
      `d.yaml:1:1 error The file has more than ${documentBytesMax} bytes, which is the most that is read.`,
    ]);
    expect(performance.now() - started).toBeLessThan(500);
  });

  test.each([
    ['opening brackets', '['.repeat(documentBytesMax)],
    ['opening braces', '{a: '.repeat(documentBytesMax / 4)],
    ['dashes', '- '.repeat(documentBytesMax / 2)],
  ])(
    'that is nothing but %s, without exhausting the stack',
    (_title, text) => {
      expect(problemsOf(text)).toEqual([`d.yaml:1:1 error Maps and lists are nested more than ${documentDepthMax} deep.`]);
    },
    patienceMs,
  );

  test.each([
    ['aliases', `a: &a 1\nb: [${'*a,'.repeat(80_000)}]`],
    ['keys', Array.from({ length: 25_000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['quotes', '"'.repeat(documentBytesMax)],
    ['exclamation marks', '!'.repeat(documentBytesMax)],
  ])(
    'that is full of %s, in bounded time and words',
    (_title, text) => {
      const problems = problemsOf(text);
      expect(problems.length).toBeGreaterThan(0);
      for (const problem of problems) expect(problem.length).toBeLessThan(1000);
    },
    patienceMs,
  );
});

test('a document is read as YAML 1.2: yes and dates are text, and << is a key like any other', () => {
  expect(readDocument('%YAML 1.1\n---\na: yes\nb: 2001-01-01\n<<: { c: 0x10 }', 'd').value).toEqual({
    a: 'yes',
    b: '2001-01-01',
    '<<': { c: 16 },
  });
});
