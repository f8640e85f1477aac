import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { reasonOf } from './reason.ts';
import { cacheFolder, fetchTo, isExecutable, onPath, withLock } from './temporal-binary.ts';
import { timed, type Report } from './temporal.ts';

const runFile = promisify(execFile);

/** The releases that the lab runs; the versions in lab/kubernetes/go.mod and lab/kubernetes/etcd/go.mod are the same. */
export const kubernetesVersions = { kubernetes: '1.36.3', etcd: '3.7.3', kwok: '0.8.0' } as const;

/** The programs of etcd: the member itself, and its tools. */
export const etcdPrograms = ['etcd', 'etcdctl', 'etcdutl'] as const;

type EtcdProgram = (typeof etcdPrograms)[number];

/** The programs of a control plane, and the tools of etcd, which are built with it. */
export const kubernetesPrograms = [...etcdPrograms, 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kwok'] as const;

export type KubernetesProgram = (typeof kubernetesPrograms)[number];

/** Where each program is. */
export type KubernetesBinaries = Readonly<Record<KubernetesProgram, string>>;

/** Where to look: the real machine and the places of the official releases where left out. */
export interface BinarySurroundings {
  env?: NodeJS.ProcessEnv;
  /** Where releases are downloaded from; tests serve their own. */
  sources?: ReleaseSources;
  /** Ends a download or a build. */
  signal?: AbortSignal;
}

export interface ReleaseSources {
  /** Folder of the release that holds the programs of Kubernetes, each beside its `.sha256`; undefined where there is none. */
  kubernetes: string | undefined;
  /** Folder of the release that holds the archive of etcd and its SHA256SUMS. */
  etcd: string | undefined;
}

const unpackTimeoutMs = 60_000;
const buildTimeoutMs = 60 * 60_000;
const buildOutputBytesMax = 4 * 1024 * 1024;
const stillBuildingPeriodMs = 30_000;

/** Programs that are published and built together. */
interface Family {
  title: string;
  version: string;
  programs: readonly KubernetesProgram[];
  /** How long a build takes on two cores, with what it needs to download. */
  buildEstimate: string;
  /** Throws where this family cannot be downloaded to the folder; left out where its releases publish no checksums to hold one against. */
  download?: (folder: string, sources: ReleaseSources) => Promise<void>;
  build(go: Go, folder: string): Promise<void>;
}

type Go = (args: readonly string[], place: { cwd: string; env?: NodeJS.ProcessEnv }) => Promise<void>;

/** Where the Go modules are whose only content is which programs to build, and the checksums of all that they are made of. */
const moduleFolder = fileURLToPath(new URL('../lab/kubernetes', import.meta.url));
const versionPackage = 'k8s.io/component-base/version';
const [kubernetesMajor, kubernetesMinor] = kubernetesVersions.kubernetes.split('.');
/** The official build sets these too; without them the API server calls itself v0.0.0. */
const kubernetesStamp = [
  `-X ${versionPackage}.gitVersion=v${kubernetesVersions.kubernetes}`,
  `-X ${versionPackage}.gitMajor=${kubernetesMajor}`,
  `-X ${versionPackage}.gitMinor=${kubernetesMinor}`,
].join(' ');
const buildFlags = ['-trimpath', '-buildvcs=false', '-mod=readonly'];
const noSymbols = '-s -w';

const families: readonly Family[] = [
  {
    title: 'etcd',
    version: kubernetesVersions.etcd,
    programs: etcdPrograms,
    buildEstimate: 'about a minute',
    download: downloadEtcd,
    build: async (go, folder) => {
      const packages = ['server', 'etcdctl', 'etcdutl'].map((name) => `go.etcd.io/etcd/${name}/v3`);
      await go(['build', ...buildFlags, '-ldflags', noSymbols, '-o', `${folder}/`, ...packages], { cwd: join(moduleFolder, 'etcd') });
      await rename(join(folder, 'server'), join(folder, 'etcd'));
    },
  },
  {
    title: 'the Kubernetes control plane',
    version: kubernetesVersions.kubernetes,
    programs: ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'],
    buildEstimate: 'about 6 minutes of an idle core, at the lowest priority',
    download: downloadKubernetes,
    build: async (go, folder) => {
      const packages = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler'].map((name) => `k8s.io/kubernetes/cmd/${name}`);
      const flags = [...buildFlags, '-ldflags', `${noSymbols} ${kubernetesStamp}`];
      await go(['build', ...flags, '-o', `${folder}/`, ...packages], { cwd: moduleFolder });
    },
  },
  {
    title: 'kwok',
    version: kubernetesVersions.kwok,
    programs: ['kwok'],
    buildEstimate: 'about a minute',
    build: async (go, folder) => {
      const flags = ['-trimpath', '-ldflags', noSymbols];
      await go(['install', ...flags, `sigs.k8s.io/kwok/cmd/kwok@v${kubernetesVersions.kwok}`], { cwd: folder, env: { GOBIN: folder } });
    },
  },
];

/** The official releases for a machine, by Node's names for platform and processor. Kubernetes has servers for Linux only. */
export function officialSources(platform: string, processor: string): ReleaseSources {
  const machine = { x64: 'amd64', arm64: 'arm64' }[processor];
  if (platform !== 'linux' || machine === undefined) return { kubernetes: undefined, etcd: undefined };
  return {
    kubernetes: `https://dl.k8s.io/v${kubernetesVersions.kubernetes}/bin/linux/${machine}`,
    etcd: `https://github.com/etcd-io/etcd/releases/download/v${kubernetesVersions.etcd}`,
  };
}

/** Where a program is kept in our cache, which is outside of every checkout. */
export function cachedKubernetes(program: KubernetesProgram, env: NodeJS.ProcessEnv): string {
  const version = families.find(({ programs }) => programs.includes(program))?.version ?? '';
  return join(cacheFolder(env), 'bin', `${program}-${version}`);
}

/**
 * Finds every program of a control plane: in our cache, else by the official download, else by a build with go; the last two fill
 * the cache, once for the machine. Throws an Error that lists what was tried for the ones that are missing, and what to do.
 */
export async function findKubernetes(report: Report, surroundings: BinarySurroundings = {}): Promise<KubernetesBinaries> {
  return findPrograms(kubernetesPrograms, report, surroundings);
}

/** The same for the programs of etcd alone. */
export async function findEtcd(report: Report, surroundings: BinarySurroundings = {}): Promise<Pick<KubernetesBinaries, EtcdProgram>> {
  return findPrograms(etcdPrograms, report, surroundings);
}

async function findPrograms<Program extends KubernetesProgram>(
  wanted: readonly Program[],
  report: Report,
  { env = process.env, sources = officialSources(process.platform, process.arch), signal }: BinarySurroundings,
): Promise<Readonly<Record<Program, string>>> {
  const some: readonly KubernetesProgram[] = wanted;
  for (const family of families.filter(({ programs }) => programs.some((program) => some.includes(program)))) {
    if (await isComplete(family, env)) continue;
    const lock = join(cacheFolder(env), 'bin', `${family.programs[0]}-${family.version}`);
    await withLock(lock, async () => {
      signal?.throwIfAborted();
      if (!(await isComplete(family, env))) await makeFamily(family, { env, sources, signal, report });
    });
  }
  return Object.fromEntries(wanted.map((program) => [program, cachedKubernetes(program, env)])) as Record<Program, string>;
}

async function isComplete({ programs }: Family, env: NodeJS.ProcessEnv): Promise<boolean> {
  for (const program of programs) if (!(await isExecutable(cachedKubernetes(program, env)))) return false;
  return true;
}

interface Making {
  env: NodeJS.ProcessEnv;
  sources: ReleaseSources;
  signal: AbortSignal | undefined;
  report: Report;
}

/** Fills the cache with the programs of a family. Throws an Error that names every way and why it failed. */
async function makeFamily(family: Family, { env, sources, signal, report }: Making): Promise<void> {
  const { title, version, programs } = family;
  const refusals = [`the cache: not all of ${programs.map((program) => cachedKubernetes(program, env)).join(', ')}`];
  const attempt = async (what: string, sentence: string, work: (folder: string) => Promise<void>): Promise<boolean> => {
    try {
      await timed(report, sentence, () => inScratchFolder(family, env, work));
      return true;
    } catch (error) {
      signal?.throwIfAborted();
      refusals.push(`${what}: ${reasonOf(error)}`);
      return false;
    }
  };
  const name = `${title} ${version}`;
  const { download } = family;
  if (download === undefined) refusals.push('the official download: its releases publish no checksums to hold it against');
  else if (await attempt('the official download', `Downloading ${name}, once.`, (folder) => download(folder, sources))) return;
  const go = await onPath('go', env);
  if (go === undefined) refusals.push('a build with go: go is not installed');
  else {
    const sentence = `Building ${name} with go; this takes ${family.buildEstimate}, once.`;
    const build = (folder: string): Promise<void> => whileTelling(name, report, () => family.build(goRunner(go, env, signal), folder));
    if (await attempt('a build with go', sentence, build)) return;
  }
  const list = refusals.map((line, index) => `  ${index + 1}. ${line}`).join('\n');
  const places = programs.map((program) => cachedKubernetes(program, env)).join(', ');
  throw new Error(
    `${name} is not there. Tried, in this order:\n${list}\n` +
      'Install Go 1.26 or newer (https://go.dev/dl) or see that the download can be reached, then try again; ' +
      `or put the programs of that release where the cache is looked for: ${places}.`,
  );
}

/** Lets `make` put the programs of a family into a fresh folder, moves each to the cache in one step, and leaves nothing else. */
async function inScratchFolder(family: Family, env: NodeJS.ProcessEnv, make: (folder: string) => Promise<void>): Promise<void> {
  const folder = join(cacheFolder(env), 'bin', `${family.programs[0]}-${family.version}.${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  try {
    await make(folder);
    for (const program of family.programs) {
      await chmod(join(folder, program), 0o755);
      await rename(join(folder, program), cachedKubernetes(program, env));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The checksums come from the publisher as the programs do: they tell a transfer that broke, not a publisher that was broken into. */
async function downloadKubernetes(folder: string, { kubernetes }: ReleaseSources): Promise<void> {
  if (kubernetes === undefined) throw new Error(`there is none for ${process.platform} on ${process.arch}`);
  for (const program of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler']) {
    const expected = (await fetchText(`${kubernetes}/${program}.sha256`, folder)).trim().split(/\s/)[0];
    checkDigest(program, await fetchTo(`${kubernetes}/${program}`, join(folder, program)), expected);
  }
}

async function downloadEtcd(folder: string, { etcd }: ReleaseSources): Promise<void> {
  if (etcd === undefined) throw new Error(`there is none for ${process.platform} on ${process.arch}`);
  const machine = process.arch === 'x64' ? 'amd64' : process.arch;
  const name = `etcd-v${kubernetesVersions.etcd}-linux-${machine}`;
  const sums = (await fetchText(`${etcd}/SHA256SUMS`, folder)).split('\n').map((line) => line.trim().split(/\s+/));
  const archive = join(folder, 'archive.tar.gz');
  const expected = sums.find(([, file]) => file === `${name}.tar.gz`)?.[0];
  checkDigest(`${name}.tar.gz`, await fetchTo(`${etcd}/${name}.tar.gz`, archive), expected);
  const members = etcdPrograms.map((program) => `${name}/${program}`);
  await runFile('tar', ['-xzf', archive, '-C', folder, '--strip-components=1', ...members], { timeout: unpackTimeoutMs });
}

async function fetchText(url: string, folder: string): Promise<string> {
  const file = join(folder, basename(url));
  await fetchTo(url, file);
  return readFile(file, 'utf8');
}

function checkDigest(what: string, sha256: string, expected: string | undefined): void {
  if (expected === undefined) throw new Error(`the release gives no checksum of ${what}`);
  if (sha256 !== expected) throw new Error(`the SHA-256 of ${what} is ${sha256}, the release says ${expected}`);
}

/** A go that leaves room for whatever else the machine is doing: half of its cores, at the lowest priority. */
function goRunner(go: string, env: NodeJS.ProcessEnv, signal: AbortSignal | undefined): Go {
  const cores = String(Math.max(1, Math.floor(availableParallelism() / 2)));
  return async (args, place) => {
    // The user's GOFLAGS (-mod=vendor and such) are for the user's own modules.
    const buildEnv = { ...env, GOFLAGS: `-p=${cores}`, GOMAXPROCS: cores, GOWORK: 'off', CGO_ENABLED: '0', ...place.env };
    const limits = { timeout: buildTimeoutMs, maxBuffer: buildOutputBytesMax, signal };
    await runFile('nice', ['-n', '19', go, ...args], { cwd: place.cwd, env: buildEnv, ...limits });
  };
}

/** A build says nothing for minutes; whoever waits shall know that it goes on. */
async function whileTelling(name: string, report: Report, work: () => Promise<void>): Promise<void> {
  const begin = performance.now();
  const timer = setInterval(() => {
    report(`Still building ${name}: ${Math.round((performance.now() - begin) / 1000)} s so far.`);
  }, stillBuildingPeriodMs);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
}
