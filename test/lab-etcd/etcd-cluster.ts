import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubernetesBinaries } from '../../lab/kubernetes-binaries.ts';
import { startProcess, type RunningProcess } from '../../lab/process.ts';
import { freePort } from '../../lab/temporal.ts';

/** Files in PEM: a certificate for 127.0.0.1 that members use as servers, as peers and as clients, with its authority. */
export interface EtcdTlsFiles {
  certificateAuthority: string;
  certificate: string;
  key: string;
}

/** A member of a cluster of the lab. */
export interface LabMember {
  name: string;
  /** Its client address. */
  endpoint: string;
  /** Its address for the other members. */
  peerUrl: string;
  dataDirectory: string;
  /** Ends it at once (SIGKILL), as a crash would. */
  kill(): Promise<void>;
  /** Ends it by SIGTERM, and resolves when it has ended. */
  stop(): Promise<void>;
  /** Starts it again over its data, with more flags than it has of its own. */
  start(...flags: string[]): Promise<void>;
}

/** A real cluster of etcd on 127.0.0.1. It ends with this process, however that ends. */
export interface EtcdCluster {
  members: LabMember[];
  endpoints: string[];
  /** Ends every member and removes the data. */
  stop(): Promise<void>;
}

export interface EtcdClusterOptions {
  binaries: Pick<KubernetesBinaries, 'etcd'>;
  tls: EtcdTlsFiles;
  /** How many members; three if left out. */
  count?: number;
}

const loopback = '127.0.0.1';
const readyPattern = /ready to serve client requests/;
const readyTimeoutMs = 30_000;

/** Starts the members, which ask clients for certificates. Throws an Error with the last lines of the one that did not come up. */
export async function startEtcdCluster({ binaries, tls, count = 3 }: EtcdClusterOptions): Promise<EtcdCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-etcd-'));
  const names = Array.from({ length: count }, (_, index) => `m${index + 1}`);
  const sites: { name: string; client: string; peer: string }[] = [];
  for (const name of names) {
    sites.push({ name, client: `https://${loopback}:${await freePort()}`, peer: `https://${loopback}:${await freePort()}` });
  }
  const initial = sites.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const members = sites.map(({ name, client, peer }): LabMember => {
    const dataDirectory = join(directory, name);
    const args = [`--name=${name}`, `--data-dir=${dataDirectory}`, `--initial-cluster=${initial}`, '--initial-cluster-token=lab'];
    const addresses = [
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
    ];
    let running: RunningProcess | undefined;
    const start = async (...flags: string[]): Promise<void> => {
      const all = [...args, ...addresses, ...tlsFlags(tls), ...flags];
      running = await startProcess({ name: `etcd ${name}`, command: binaries.etcd, args: all, ready: readyPattern, readyTimeoutMs });
    };
    return {
      name,
      endpoint: client,
      peerUrl: peer,
      dataDirectory,
      start,
      stop: async () => running?.stop(),
      kill: async () => running?.kill(),
    };
  });
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.stop()));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    // None of them serves before most of them are there.
    await Promise.all(members.map((member) => member.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return { members, endpoints: members.map(({ endpoint }) => endpoint), stop };
}

function tlsFlags({ certificateAuthority, certificate, key }: EtcdTlsFiles): string[] {
  return ['', 'peer-'].flatMap((prefix) => [
    `--${prefix}trusted-ca-file=${certificateAuthority}`,
    `--${prefix}cert-file=${certificate}`,
    `--${prefix}key-file=${key}`,
    `--${prefix}client-cert-auth`,
  ]);
}
