import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { documentBytesMax } from '../../runbooks/grammar/document.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { formatProblem } from '../../runbooks/grammar/problem.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-library-'));
  await mkdir(join(directory, 'sub'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Writes a runbook that carries out those; one that names none only looks. */
async function write(path: string, ...references: string[]): Promise<string> {
  const carried = references.map((reference, index) => `  - { id: s${index}, runbook: ${JSON.stringify(reference)} }\n`);
  const steps = carried.length > 0 ? carried.join('') : '  - { id: check, uses: eks.preflight }\n';
  const head = 'apiVersion: holdpoint.dev/v1\nkind: Runbook\nmetadata: { name: test, title: Test }\ntarget: eks/eu-central-1/demo\n';
  await writeFile(join(directory, path), `${head}steps:\n${steps}`);
  return join(directory, path);
}

function problemsOf({ text, file, runbooks }: ReturnType<typeof readRunbook>): string[] {
  return compileRunbook(text, file, undefined, runbooks).problems.map(formatProblem);
}

describe('a runbook is read with all that it carries out', () => {
  test('files by their paths from its own folder, whichever of them names them, and shipped ones by name', async () => {
    await write('looking.yaml');
    await write('sub/inner.yaml', '../looking.yaml', './deeper.yaml');
    await write('sub/deeper.yaml');
    const file = await write('top.yaml', 'sub/inner.yaml', './looking.yaml');
    const read = readRunbook(file);
    expect(Object.keys(read.runbooks ?? {}).sort()).toEqual(['./looking.yaml', './sub/deeper.yaml', './sub/inner.yaml']);
    expect(read.runbooks?.['./sub/inner.yaml']?.file).toBe(join(directory, 'sub/inner.yaml'));
    expect(problemsOf(read)).toEqual([]);
    expect(Object.keys(readRunbook('node-groups-update').runbooks ?? {})).toEqual(['node-group-update']);
    expect(readRunbook('node-group-update')).not.toHaveProperty('runbooks');
  });

  test('what is outside of its folder, too: they are files of whoever starts it', async () => {
    await write('outside.yaml');
    const read = readRunbook(await write('sub/top.yaml', '../outside.yaml'));
    expect(Object.keys(read.runbooks ?? {})).toEqual(['../outside.yaml']);
    expect(problemsOf(read)).toEqual([]);
  });

  test('and one that cannot be read is told at the step that names it', async () => {
    const file = await write('broken.yaml', './nowhere.yaml', './sub', 'node-group-updte', './sub/../sub/nowhere.yaml');
    expect(problemsOf(readRunbook(file)).map((line) => line.replaceAll(directory, 'dir'))).toEqual([
      expect.stringMatching(/^dir\/broken\.yaml:6:24 error steps\[0\]\.runbook: The file "dir\/nowhere\.yaml" cannot be read; a path is/),
      expect.stringMatching(/^dir\/broken\.yaml:7:24 error steps\[1\]\.runbook: The file "dir\/sub" cannot be read/),
      expect.stringMatching(
        /^dir\/broken\.yaml:8:24 error steps\[2\]\.runbook: There is no runbook "node-group-updte"\. Did you mean "node-/,
      ),
      expect.stringMatching(/^dir\/broken\.yaml:9:24 error steps\[3\]\.runbook: The file "dir\/sub\/nowhere\.yaml" cannot be read/),
    ]);
  });

  test('those that go in a circle are read once, and refused', async () => {
    await write('ping.yaml', './pong.yaml');
    const file = await write('pong.yaml', './ping.yaml');
    const read = readRunbook(file);
    expect(Object.keys(read.runbooks ?? {})).toEqual(['./ping.yaml']);
    expect(problemsOf(read)).toEqual([
      expect.stringContaining('ping.yaml:6:24 error steps[0].runbook: Goes in a circle: ./pong.yaml → ./ping.yaml →'),
    ]);
  });

  test('no deeper than runbooks may stand inside of one another', async () => {
    for (let depth = 0; depth < 6; depth++) await write(`level${depth}.yaml`, `./level${depth + 1}.yaml`);
    const read = readRunbook(join(directory, 'level0.yaml'));
    expect(Object.keys(read.runbooks ?? {})).toHaveLength(3);
    expect(problemsOf(read)).toEqual([expect.stringMatching(/level3\.yaml:6:24 error steps\[0\]\.runbook: Runbooks stand 4 deep/)]);
  });

  test('a huge one is not read to its end', async () => {
    await writeFile(join(directory, 'huge.yaml'), '#'.repeat(3 * documentBytesMax));
    const read = readRunbook(await write('names-huge.yaml', './huge.yaml'));
    expect(read.runbooks?.['./huge.yaml']?.text.length).toBe(documentBytesMax + 1);
    expect(problemsOf(read)).toEqual([expect.stringMatching(/huge\.yaml:1:1 error The file has more than 262144 bytes/)]);
  });

  test('nothing else is read for a document that is none, or names no runbooks by text', async () => {
    await writeFile(
      join(directory, 'odd.yaml'),
      'steps: [3, null, { runbook: 1 }, { runbook: [a] }, { runbook: "" }, { runbook: "\\0/x" }]',
    );
    expect(readRunbook(join(directory, 'odd.yaml'))).not.toHaveProperty('runbooks');
    await writeFile(join(directory, 'list.yaml'), '[1, 2');
    expect(readRunbook(join(directory, 'list.yaml'))).not.toHaveProperty('runbooks');
  });
});
