import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  cachedKubernetes,
  findKubernetes,
  kubernetesPrograms,
  kubernetesVersions,
  officialSources,
  type ReleaseSources,
} from '../../lab/kubernetes-binaries.ts';

let folder: string;
let bin: string;
let cache: string;
let server: Server | undefined;
/** What is served, by the last part of the address. */
let served: Map<string, Buffer>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdpoint-lab-'));
  bin = join(folder, 'path');
  cache = join(folder, 'cache');
  served = new Map();
  await mkdir(bin);
});

afterEach(async () => {
  server?.close();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
});

const environment = (): NodeJS.ProcessEnv => ({ PATH: bin, HOLDPOINT_CACHE: cache });
const nowhere: ReleaseSources = { kubernetes: undefined, etcd: undefined };
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function script(path: string, text: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o755);
  return path;
}

/** A `go` that makes a program of each package it is told to build, as the real one does, and notes how it was called. */
async function addGo(): Promise<void> {
  const program = (path: string): string => `echo '#!/bin/sh' > "${path}"; echo 'echo from go' >> "${path}"; /bin/chmod +x "${path}"`;
  await script(
    join(bin, 'go'),
    [
      `echo "$PWD: $GOFLAGS $GOMAXPROCS: $@" >> ${folder}/go-calls`,
      'while [ $# -gt 0 ]; do case "$1" in',
      '-o) out=$2; shift;;',
      `*/kwok@*) ${program('$GOBIN/kwok')};;`,
      `k8s.io/*/cmd/*) ${program('$out/${1##*/}')};;`,
      `go.etcd.io/*/v3) name=\${1%/v3}; ${program('$out/${name##*/}')};;`,
      'esac; shift; done',
    ].join('\n'),
  );
  await script(join(bin, 'nice'), `printf "%s\\n" "$*" >> ${folder}/nice-calls\nshift 2\nexec "$@"`);
}

async function serveReleases(): Promise<ReleaseSources> {
  for (const program of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
    const bytes = Buffer.from('#!/bin/sh\necho from download\n');
    served.set(program, bytes).set(`${program}.sha256`, Buffer.from(sha256(bytes)));
  }
  const name = `etcd-v${kubernetesVersions.etcd}-linux-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  for (const program of ['etcd', 'etcdctl', 'etcdutl']) await script(join(folder, 'release', name, program), 'echo from download');
  execFileSync('tar', ['-czf', join(folder, 'release.tar.gz'), '-C', join(folder, 'release'), name]);
  const archive = await readFile(join(folder, 'release.tar.gz'));
  served
    .set(`${name}.tar.gz`, archive)
    .set('SHA256SUMS', Buffer.from(`${'0'.repeat(64)}  other.zip\n${sha256(archive)}  ${name}.tar.gz\n`));
  server = createServer((request, response) => {
    const bytes = served.get(request.url?.split('/').pop() ?? '');
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes);
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { kubernetes: base, etcd: base };
}

function find(sources: ReleaseSources = nowhere) {
  const said: string[] = [];
  return { found: findKubernetes((sentence) => said.push(sentence), { env: environment(), sources }), said };
}

const output = (path: string): string => execFileSync(path, { encoding: 'utf8' }).trim();

describe('where the programs of a control plane come from', () => {
  test('what is in the cache is taken without a word', async () => {
    for (const program of kubernetesPrograms) await script(cachedKubernetes(program, environment()), 'echo from cache');
    const { found, said } = find();
    expect((await found)['kube-apiserver']).toBe(join(cache, 'bin', `kube-apiserver-${kubernetesVersions.kubernetes}`));
    expect(said).toEqual([]);
  });

  test('a download is held against its checksum; kwok, which has none, is built; the next time all is there', async () => {
    await addGo();
    const { found, said } = find(await serveReleases());
    const binaries = await found;
    expect(kubernetesPrograms.map((program) => output(binaries[program]))).toEqual([...Array<string>(6).fill('from download'), 'from go']);
    expect(said).toContainEqual(expect.stringMatching(/^Downloading the Kubernetes control plane 1\.36\.\d+, once\.$/));
    expect((await readdir(join(cache, 'bin'))).sort()).toEqual(
      kubernetesPrograms.map((program) => cachedKubernetes(program, {}).split('/').pop()).sort(),
    );
    expect(await find().found).toEqual(binaries);
  });

  test('a download with another checksum is thrown away and the program is built instead', async () => {
    await addGo();
    const sources = await serveReleases();
    served.set('kube-scheduler', Buffer.from('something else'));
    const { found, said } = find(sources);
    const binaries = await found;
    expect([output(binaries['kube-scheduler']), output(binaries['kube-apiserver']), output(binaries.etcd)]).toEqual([
      'from go',
      'from go',
      'from download',
    ]);
    expect(said).toContainEqual(expect.stringMatching(/SHA-256 of kube-scheduler is [0-9a-f]{64}, the release says [0-9a-f]{64}/));
  });

  test('a build takes the pinned modules, leaves half of the machine free, and says how long it takes', async () => {
    await addGo();
    const { found, said } = find();
    await found;
    const calls = (await readFile(join(folder, 'go-calls'), 'utf8')).trim().split('\n');
    expect(calls).toEqual([
      expect.stringMatching(/lab\/kubernetes\/etcd: -p=\d+ \d+: build .*-mod=readonly/),
      expect.stringMatching(/lab\/kubernetes: .*gitVersion=v1\.36\.\d+ .*k8s\.io\/kubernetes\/cmd\/kube-scheduler$/),
      expect.stringMatching(/install .*kwok@v0\.8\.0$/),
    ]);
    const nice = (await readFile(join(folder, 'nice-calls'), 'utf8')).trim().split('\n');
    expect(nice.map((call) => call.split(' ').slice(0, 2).join(' '))).toEqual(['-n 19', '-n 19', '-n 19']);
    expect(said).toContainEqual(expect.stringMatching(/^Building the Kubernetes control plane .* with go; this takes about 6 minutes/));
  });

  test('the versions of the Go modules are the ones that the cache is named after', async () => {
    const text = async (path: string): Promise<string> => readFile(new URL(`../../lab/kubernetes/${path}`, import.meta.url), 'utf8');
    expect(await text('go.mod')).toMatch(new RegExp(`k8s.io/kubernetes v${kubernetesVersions.kubernetes}\\b`));
    expect(await text('etcd/go.mod')).toMatch(new RegExp(`go.etcd.io/etcd/server/v3 v${kubernetesVersions.etcd}\\b`));
  });

  test('without a network and without go the error names every way and what to do', async () => {
    const { found } = find();
    await expect(found).rejects.toThrow(
      /^etcd 3\.7\.3 is not there[^]*1\. the cache: [^]*2\. the official download: [^]*3\. a build with go: go is not installed\nInstall/,
    );
    expect(await readdir(join(cache, 'bin'))).toEqual([]);
  });

  test('a build that fails is told with what go said, and leaves nothing', async () => {
    await addGo();
    await script(join(bin, 'go'), 'echo "no required module provides it" >&2\nexit 1');
    const { found } = find();
    await expect(found).rejects.toThrow('no required module provides it');
    expect(await readdir(join(cache, 'bin'))).toEqual([]);
  });

  test('two that look at once make the programs once', async () => {
    await addGo();
    const [first, second] = await Promise.all([find().found, find().found]);
    expect(first).toEqual(second);
    expect((await readFile(join(folder, 'go-calls'), 'utf8')).trim().split('\n')).toHaveLength(3);
  });

  test('there are official servers for Linux only', () => {
    expect(officialSources('darwin', 'arm64')).toEqual(nowhere);
    expect(officialSources('linux', 'arm64').kubernetes).toContain('/linux/arm64');
  });
});
