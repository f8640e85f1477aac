import { execFileSync } from 'node:child_process';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Readable, Writable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { padded, table, widthOf, wrapped } from '../../cli/layout.ts';
import { declarationsOf, holdpoint, kubectlPlugin, runCli } from '../../cli/program.ts';
import { tarOf } from '../../cli/tar.ts';
import type { Surroundings } from '../../cli/terminal.ts';

function surroundingsOf(write: (text: string) => void = () => undefined): Surroundings {
  const stdout = new Writable({ write: (chunk, _encoding, done) => (write(String(chunk)), done()) });
  const stdin = Readable.from([]);
  return { stdin, stdout, stderr: stdout, env: {}, now: () => new Date(0), signal: new AbortController().signal };
}

describe('lines', () => {
  test.each([
    ['fits', 'a b', 10, ['a b']],
    [
      'is broken between words, below its first word',
      '  alpha beta gamma delta epsilon zeta',
      30,
      ['  alpha beta gamma delta', '    epsilon zeta'],
    ],
    ['has a word that is longer than the line', `  ${'x'.repeat(40)} y`, 30, [`  ${'x'.repeat(40)}`, '    y']],
    [
      'is a command that people copy',
      '  holdpoint approve r-20261121-7kq2m4 --plan sha256',
      30,
      ['  holdpoint approve r-20261121-7kq2m4 --plan sha256'],
    ],
    ['ends with one', 'Start it with: holdpoint start x -i a=b -i c=d', 30, ['Start it with: holdpoint start x -i a=b -i c=d']],
    ['has wide characters', '서울 지역 노드 그룹 교체 작업', 16, ['서울 지역 노드', '  그룹 교체 작업']],
    ['goes into a pipe', 'a '.repeat(200), Infinity, ['a '.repeat(200)]],
  ])('a line that %s', (_name, line, columns, lines) => expect(wrapped(line, columns)).toEqual(lines));

  test('columns line up where names are Korean', () => {
    const rows = table([
      ['노드그룹', 'running'],
      ['blue', 'done'],
    ]);
    expect(rows.map((row) => widthOf(row.replace(/\S+$/, '')))).toEqual([10, 10]);
    expect(widthOf(padded('한글', 10))).toBe(10);
  });
});

describe('help', () => {
  test.each([holdpoint, kubectlPlugin])('of every command says what it does, by an example, and how it ends ($name)', async (program) => {
    const missing: string[] = [];
    const visit = (command: Awaited<ReturnType<typeof declarationsOf>>, words: string): void => {
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) });
      command.outputHelp();
      const parts = [/Examples?:/, /Exit codes:/, /^Usage: .*\n\n\S/].filter((part) => !part.test(help));
      if (command.commands.length === 0 && parts.length > 0) missing.push(`${words}: ${parts.join(' ')}`);
      // Node takes these for itself wherever they stand (nodejs/node#54232).
      for (const { long } of command.options) if (long?.startsWith('--env-file')) missing.push(`${words}: another name than ${long}`);
      for (const child of command.commands) visit(child, `${words} ${child.name()}`);
    };
    visit(await declarationsOf(program, surroundingsOf()), program.name);
    expect(missing).toEqual([]);
  });
});

describe('completion', () => {
  async function scriptFor(shell: string): Promise<string> {
    let script = '';
    expect(
      await runCli(
        ['completion', shell],
        surroundingsOf((text) => (script += text)),
      ),
    ).toBe(0);
    return script;
  }

  test.each([
    ['holdpoint ', ['start', 'show', 'doctor', 'bundle', '--help']],
    ['holdpoint sho', ['show']],
    ['holdpoint keys ', ['create', 'enrol', 'list']],
    ['holdpoint keys list --', ['--people', '--config', '--json']],
    ['holdpoint start --signer ', ['file', 'ssh-agent', 'ssh-file']],
    ['holdpoint abort r-1 --', ['--reason', '--wait', '--yes']],
  ])('in bash: %s', async (typed, expected) => {
    const words = typed.split(' ');
    const array = words.map((word) => `'${word}'`).join(' ');
    const asked = `COMP_WORDS=(${array})\nCOMP_CWORD=${words.length - 1}\n_holdpoint\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
    const line = `${await scriptFor('bash')}\n${asked}`;
    const completed = execFileSync('bash', ['-c', line], { encoding: 'utf8' }).split('\n');
    expect(completed).toEqual(expect.arrayContaining(expected));
  });

  test.each(['zsh', 'fish'])('in %s every command and option is there, and quotes are closed', async (shell) => {
    const script = await scriptFor(shell);
    const flag = (name: string): string => (shell === 'fish' ? `-l ${name}` : `--${name}:`);
    for (const name of ['signer', 'inputs-file', 'keep', 'reason', 'delegation']) expect(script).toContain(flag(name));
    for (const name of ['break-glass', 'evidence verify', 'schedule run-now']) expect(script).toContain(name);
    for (const line of script.split('\n')) expect((line.replaceAll("'\\''", '').match(/'/g) ?? []).length % 2).toBe(0);
  });

  test('for another shell there is none', async () => expect(await runCli(['completion', 'tcsh'], surroundingsOf())).toBe(2));
});

test('an archive is one that tar reads', () => {
  const files = [
    { name: 'about.json', text: '{}\n' },
    { name: 'state.json', text: '한글 '.repeat(500) },
  ];
  const archive = gunzipSync(gzipSync(tarOf(files, new Date('2026-11-21T05:24:07Z'))));
  const read = (...args: string[]): string => execFileSync('tar', args, { input: archive, encoding: 'utf8' });
  expect(read('-tf', '-')).toBe('about.json\nstate.json\n');
  expect(read('-xOf', '-', 'state.json')).toBe(files[1]?.text);
});
