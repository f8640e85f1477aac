import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const runFile = promisify(execFile);
const example = 'test/docs/lamp';
const filesOfPage = ['runbooks/actions/lamp.ts', 'activities/lamp/lamps.ts', 'activities/lamp/switch.ts', 'activities/lamp/system.ts'];
/** What is added to the two lists of systems; the page shows it so. */
const lines = [
  {
    file: 'runbooks/actions/index.ts',
    added: "import { lamp } from './lamp.ts';",
    list: 'export const systems = { eks, kubernetes, autoscaling, gate, rds, etcd, backup }',
    longer: 'export const systems = { eks, kubernetes, autoscaling, gate, rds, etcd, backup, lamp }',
  },
  {
    file: 'activities/catalogue.ts',
    added: "import { lampSystem } from './lamp/system.ts';",
    list: '  backup: backupSystem,\n',
    longer: '  backup: backupSystem,\n  lamp: lampSystem,\n',
  },
];

/** A copy of the project with the system of the page in it. */
let copy: string;

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'holdpoint-lamp-'));
  for (const folder of ['domain', 'runbooks', 'activities']) await cp(folder, join(copy, folder), { recursive: true });
  await cp('package.json', join(copy, 'package.json'));
  await symlink(resolve('node_modules'), join(copy, 'node_modules'));
  await cp(example, copy, { recursive: true });
  for (const { file, added, list, longer } of lines) {
    const text = await readFile(file, 'utf8');
    expect(text).toContain(list);
    await writeFile(join(copy, file), `${added}\n${text.replace(list, longer)}`);
  }
  await writeFile(join(copy, 'desk.json'), JSON.stringify({ on: false }));
});

afterAll(() => rm(copy, { recursive: true, force: true }));

test('the page shows the system as it is tested here, and the lines that add it', async () => {
  const page = await readFile('docs/adding-a-system.md', 'utf8');
  for (const file of filesOfPage)
    expect(page).toContain(`\`${file}\`:\n\n\`\`\`ts\n${await readFile(join(example, file), 'utf8')}\`\`\`\n`);
  for (const { file, added, longer } of lines) {
    expect(page).toContain(`\`${file}\``);
    expect(page).toContain(added);
    expect(page).toContain(longer);
  }
});

test('a folder, a declaration and a line in each list are all that it takes to run its runbooks', async () => {
  const tsx = fileURLToPath(import.meta.resolve('tsx'));
  const env = { ...process.env, LAMPS_DIRECTORY: copy };
  const { stdout } = await runFile(process.execPath, ['--import', tsx, join(copy, 'use-lamp.ts')], { cwd: copy, env });
  expect(JSON.parse(stdout)).toEqual({
    target: { kind: 'lamp', region: '', name: 'desk' },
    effects: [{ object: 'Lamp/desk', change: 'switch', before: 'off', after: 'on' }],
    acts: [1, 0],
    left: [],
    marked: [{ node: 'desk', run: 'r-1' }],
    released: [['desk'], []],
    refused: [
      'light.yaml:8:24 error steps[1].uses: The action kubernetes.cordon works on targets of the kind eks and kubernetes; ' +
        'this runbook works on lamp.',
      expect.stringMatching(/error steps\[1\]\.with/),
      expect.stringMatching(/error steps\[1\]\.with/),
    ],
  });
  expect(JSON.parse(await readFile(join(copy, 'desk.json'), 'utf8'))).toEqual({ on: true });
});
