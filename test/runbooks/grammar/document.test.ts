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
    ['with an alias without an anchor', 'a: *b', 'd.yaml:1:4 error a: The alias "*b" has no anchor above it.'],
    ['with a tag', 'a: !!js/function x', 'd.yaml:1:4 error Unresolved tag: tag:yaml.org,2002:js/function.'],
    ['with a tab as indentation', 'a:\n\t- b', 'd.yaml:2:1 error Tabs are not allowed as indentation.'],
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

  test(
    'whose anchors explode',
    () => {
      const names = [...'bcdefghijk'];
      const lines = names.map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghijk'[index]}`).join(', ')}]`);
      const problems = problemsOf(['a: &a [x, x]', ...lines].join('\n'));
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain('The document has more than 20000 values once aliases are written out.');
    },
    patienceMs,
  );

  test('whose anchor holds itself', () => {
    expect(problemsOf('a: &a [*a]')[0]).toContain(`Maps and lists are nested more than ${documentDepthMax} deep.`);
  });

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

test('the values of an alias are reported where the alias stands', () => {
  const { sourceMap } = readDocument('a: &x { n: 1 }\nb: *x', 'd.yaml');
  sourceMap.error(['b'], 'Is wrong.');
  expect(sourceMap.problems().map(formatProblem)).toEqual(['d.yaml:2:4 error b: Is wrong.']);
});
