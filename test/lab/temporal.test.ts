import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Connection } from '@temporalio/client';
import { officialArchive, type Archive } from '../../lab/temporal-binary.ts';
import { findTemporal, startTemporal } from '../../lab/temporal.ts';

let folder: string;
let bin: string;
let cache: string;
let server: Server | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdpoint-lab-'));
  bin = join(folder, 'path');
  cache = join(folder, 'cache');
  await mkdir(bin);
});

afterEach(async () => {
  server?.close();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function script(path: string, text: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o755);
  return path;
}

const cached = (): string => join(cache, 'bin', 'temporal-1.5.1');
const addToPath = (): Promise<string> => script(join(bin, 'temporal'), 'echo from path');
const addToCache = (): Promise<string> => script(cached(), 'echo from cache');
/** A `go` that notes each call and takes a moment, as the real one takes minutes. */
const addGo = (): Promise<string> =>
  script(
    join(bin, 'go'),
    `echo "$@" >> ${folder}/go-calls\n/bin/sleep 0.3\necho 'echo from go' > "$GOBIN/temporal"\n/bin/chmod +x "$GOBIN/temporal"`,
  );

async function serveArchive(sha256?: string): Promise<Archive> {
  await script(join(folder, 'release', 'temporal'), 'echo from download');
  const file = join(folder, 'release.tar.gz');
  execFileSync('tar', ['-czf', file, '-C', join(folder, 'release'), 'temporal']);
  const bytes = await readFile(file);
  return { url: await serve(200, bytes), sha256: sha256 ?? createHash('sha256').update(bytes).digest('hex') };
}

async function serve(status: number, body: Buffer | string): Promise<string> {
  server = createServer((_request, response) => response.writeHead(status).end(body));
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/temporal.tar.gz`;
}

/** Looks only in the temporary folder and at the given archive, never at the network. */
function find(env: NodeJS.ProcessEnv = {}, archive?: Archive) {
  const said: string[] = [];
  const found = findTemporal((sentence) => said.push(sentence), { env: { PATH: bin, HOLDPOINT_CACHE: cache, ...env }, archive });
  return { found, said };
}

describe('where the server comes from', () => {
  test('a running server named by TEMPORAL_ADDRESS wins over everything', async () => {
    await Promise.all([addToPath(), addToCache(), addGo()]);
    await expect(find({ TEMPORAL_ADDRESS: 'temporal.example:7233' }).found).resolves.toEqual({
      kind: 'running',
      address: 'temporal.example:7233',
    });
  });

  test('temporal on PATH wins over the cache, also in a later folder of the PATH', async () => {
    await Promise.all([addToPath(), addToCache()]);
    const path = [join(folder, 'missing'), '', bin].join(delimiter);
    await expect(find({ PATH: path }).found).resolves.toEqual({ kind: 'program', path: join(bin, 'temporal'), from: 'PATH' });
  });

  test('a file on PATH that may not be run, and a folder of that name, are passed over', async () => {
    await writeFile(join(bin, 'temporal'), 'no program', { mode: 0o644 });
    await mkdir(join(folder, 'second', 'temporal'), { recursive: true });
    await addToCache();
    await expect(find({ PATH: [bin, join(folder, 'second')].join(delimiter) }).found).resolves.toMatchObject({ from: 'cache' });
  });

  test('the cache wins over the download, and nothing is said or locked', async () => {
    await Promise.all([addToCache(), addGo()]);
    const { found, said } = find({}, { url: 'http://127.0.0.1:1/', sha256: '' });
    await expect(found).resolves.toEqual({ kind: 'program', path: cached(), from: 'cache' });
    expect(said).toEqual([]);
  });

  test.each([
    ['HOLDPOINT_CACHE', { XDG_CACHE_HOME: '/nowhere', HOME: '/nowhere' }],
    ['XDG_CACHE_HOME', { HOLDPOINT_CACHE: '', HOME: '/nowhere' }],
    ['HOME', { HOLDPOINT_CACHE: '' }],
  ])('the cache is found through %s', async (name, others) => {
    const below = { HOLDPOINT_CACHE: 'bin', XDG_CACHE_HOME: 'holdpoint/bin', HOME: '.cache/holdpoint/bin' }[name] ?? '';
    const path = await script(join(folder, 'home', below, 'temporal-1.5.1'), 'echo from cache');
    await expect(find({ ...others, [name]: join(folder, 'home') }).found).resolves.toEqual({ kind: 'program', path, from: 'cache' });
  });

  test('the download wins over go, is checked, unpacked and kept, and the duration is told', async () => {
    const archive = await serveArchive();
    await addGo();
    const { found, said } = find({}, archive);
    await expect(found).resolves.toEqual({ kind: 'program', path: cached(), from: 'download' });
    expect(execFileSync(cached(), { encoding: 'utf8' })).toBe('from download\n');
    expect(said).toEqual([expect.stringContaining(archive.url), expect.stringMatching(/^Done after \d+\.\d s\.$/)]);
    await expect(find().found).resolves.toMatchObject({ from: 'cache' });
    expect(await readdir(join(cache, 'bin'))).toEqual(['temporal-1.5.1']);
  });

  test('an archive with another checksum is thrown away and go is used instead', async () => {
    const archive = await serveArchive('0'.repeat(64));
    await addGo();
    const { found, said } = find({}, archive);
    await expect(found).resolves.toEqual({ kind: 'program', path: cached(), from: 'go' });
    expect(said.join('\n')).toMatch(/its SHA-256 is [0-9a-f]{64}, the release says 0{64}[^]*with go; this takes about 3 minutes, once\./);
    expect(execFileSync(cached(), { encoding: 'utf8' })).toBe('from go\n');
    expect(await readdir(join(cache, 'bin'))).toEqual(['temporal-1.5.1']);
  });

  test('without network and go, the error lists every way with its reason and what to do', async () => {
    const url = await serve(503, 'busy');
    const failure = await find({}, { url, sha256: '' }).found.catch((error: Error) => error.message);
    expect(failure).toBe(
      [
        'There is no Temporal server. Tried, in this order:',
        '  1. TEMPORAL_ADDRESS: not set',
        '  2. temporal on PATH: not installed',
        `  3. the cache: no ${cached()}`,
        `  4. the official download of ${url}: the answer was 503 Service Unavailable`,
        '  5. go install github.com/temporalio/cli/cmd/temporal@v1.5.1: go is not installed',
        'Set TEMPORAL_ADDRESS to the host:port of a running server, or install the Temporal CLI ' +
          '(https://docs.temporal.io/cli) or Go (https://go.dev/dl), then try again.',
      ].join('\n'),
    );
    expect(await readdir(join(cache, 'bin'))).toEqual([]);
  });

  test('a network that swallows everything is noticed within seconds', async () => {
    server = createServer(() => undefined);
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await expect(find({}, { url, sha256: '' }).found).rejects.toThrow(/no answer within 5 s/);
    server.closeAllConnections();
  }, 10_000);

  test('a build that fails is told with what go said, and a cache that cannot be written with its path', async () => {
    await script(join(bin, 'go'), 'echo "go: no such module" >&2; exit 1');
    await expect(find().found).rejects.toThrow(/5\. go install .*: Command failed: [^]*go: no such module/);
    await writeFile(join(folder, 'file'), '');
    await expect(find({ HOLDPOINT_CACHE: join(folder, 'file') }).found).rejects.toThrow(/4\. making one in the cache: ENOTDIR.*file/);
  });
});

describe('two processes at once', () => {
  test('only one of them builds, both get the program', async () => {
    await addGo();
    const both = await Promise.all([find().found, find().found]);
    expect(both).toEqual([expect.objectContaining({ path: cached() }), expect.objectContaining({ path: cached() })]);
    expect(both.map((source) => 'from' in source && source.from).sort()).toEqual(['cache', 'go']);
    expect(await readFile(join(folder, 'go-calls'), 'utf8')).toBe('install github.com/temporalio/cli/cmd/temporal@v1.5.1\n');
  });

  test('the lock of a dead process is taken away', async () => {
    await addGo();
    const dead = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' });
    await mkdir(join(cache, 'bin'), { recursive: true });
    await writeFile(`${cached()}.lock`, dead.trim());
    await expect(find().found).resolves.toMatchObject({ from: 'go' });
    expect(await readdir(join(cache, 'bin'))).toEqual(['temporal-1.5.1']);
  });
});

test.each([
  ['linux', 'x64', 'linux_amd64'],
  ['linux', 'arm64', 'linux_arm64'],
  ['darwin', 'x64', 'darwin_amd64'],
  ['darwin', 'arm64', 'darwin_arm64'],
])('there is an official archive with a checksum for %s on %s', (platform, processor, machine) => {
  expect(officialArchive(platform, processor)).toEqual({
    url: `https://github.com/temporalio/cli/releases/download/v1.5.1/temporal_cli_1.5.1_${machine}.tar.gz`,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('there is no official archive for other machines', () => {
  expect(officialArchive('sunos', 'x64')).toBeUndefined();
});

describe('starting', () => {
  // Who names a running server may have no program to start another.
  const testWithProgram = process.env.TEMPORAL_ADDRESS ? test.skip : test;

  testWithProgram('two servers run side by side, keep their data in their files, and are gone after stop', async () => {
    const source = await findTemporal(() => undefined);
    const databaseFile = join(folder, 'temporal.db');
    const [first, second] = await Promise.all([startTemporal({ source, databaseFile }), startTemporal({ source })]);
    expect(first.address).not.toBe(second.address);
    const running = await startTemporal({ source: { kind: 'running', address: first.address } });
    expect(running.address).toBe(first.address);
    await running.stop();
    const connection = await Connection.connect({ address: first.address });
    await connection.workflowService.getSystemInfo({});
    await connection.close();
    await Promise.all([first.stop(), second.stop()]);
    expect(await readdir(folder)).toContain('temporal.db');
    for (const { address } of [first, second]) {
      await expect(Connection.connect({ address, connectTimeout: 500 })).rejects.toThrow();
    }
  });

  test('a program that is no Temporal server is reported with what it printed', async () => {
    const path = await script(join(bin, 'temporal'), 'echo "unknown command server" >&2; exit 2');
    await expect(startTemporal({ source: { kind: 'program', path, from: 'PATH' } })).rejects.toThrow(
      /^The Temporal server ended with exit code 2 before it was ready[^]*unknown command server/,
    );
  });

  test('a TEMPORAL_ADDRESS where nobody answers is reported with the address and the ways out', async () => {
    await expect(startTemporal({ source: { kind: 'running', address: '127.0.0.1:1' } })).rejects.toThrow(
      /^The Temporal server 127\.0\.0\.1:1 \(TEMPORAL_ADDRESS\) does not answer: .* Start it, correct the address, or unset/,
    );
  });
});
