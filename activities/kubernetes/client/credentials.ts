import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Cluster, User } from '@kubernetes/client-node';
import { cut, visible } from '../../../domain/visible.ts';
import { credentialMissing } from '../../failure.ts';
import { withoutSecrets } from '../../secrets.ts';

/** A credential is renewed when this share of its life is left, or this much where that is less: a request takes its time, too. */
const renewalShare = 0.25;
const renewalMarginMaxMs = 60_000;
/** How old what a file says may become; the kubelet replaces the token of a service account well before its end. */
const fileAgeMaxMs = 60_000;
const pluginTimeoutMs = 30_000;
const pluginOutputBytesMax = 1024 * 1024;
/** How much is told of what a plugin says when it fails. */
const saidCharactersMax = 300;

/** What shows a server who asks. */
export interface Credential {
  token?: string;
  /** PEM of a client certificate and its key. */
  certificate?: string;
  key?: string;
  /** Until when it is good, milliseconds since 1970; without it, until the server refuses it. */
  expiresAtMs?: number;
}

/** Gets a fresh credential. Throws an Error whose message says of what it is and why there is none. */
export type CredentialSource = () => Promise<Credential>;

/** A credential that is renewed before it expires, and after a server has refused it; by one request for all who wait for it. */
export class RenewedCredential {
  private readonly source: CredentialSource;
  private held: { credential: Credential; renewAtMs: number } | undefined;
  private renewal: Promise<Credential> | undefined;

  constructor(source: CredentialSource) {
    this.source = source;
  }

  /** Throws what the source throws, unless the last credential is still good. */
  async current(): Promise<Credential> {
    const { held } = this;
    if (held && Date.now() < held.renewAtMs) return held.credential;
    try {
      return await this.renew();
    } catch (error) {
      if (held && held === this.held && Date.now() < (held.credential.expiresAtMs ?? 0)) return held.credential;
      throw error;
    }
  }

  /** Has a credential that a server has refused not be used again. */
  refuse(credential: Credential): void {
    if (this.held?.credential === credential) this.held = undefined;
  }

  private renew(): Promise<Credential> {
    this.renewal ??= this.fetch().finally(() => (this.renewal = undefined));
    return this.renewal;
  }

  private async fetch(): Promise<Credential> {
    const begunAtMs = Date.now();
    const credential = await this.source();
    const { expiresAtMs = Infinity } = credential;
    const marginMs = Math.min(renewalMarginMaxMs, (expiresAtMs - begunAtMs) * renewalShare);
    this.held = { credential, renewAtMs: expiresAtMs - marginMs };
    return credential;
  }
}

/**
 * Where the user of a kubeconfig gets credentials from that do not last: a plugin, or a file. Undefined where they last, or where the
 * Kubernetes client renews them by itself.
 */
export function credentialSourceOf(user: User | null, cluster: Cluster | null): CredentialSource | undefined {
  const plugin = (user?.exec ?? undefined) as ExecPlugin | undefined;
  if (plugin) return () => fromPlugin(plugin, cluster);
  const { tokenFile } = (user?.authProvider as { config?: { tokenFile?: string } } | null)?.config ?? {};
  return tokenFile === undefined ? undefined : () => fromFile(tokenFile);
}

/** The `exec` section of a user: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/#ExecConfig */
interface ExecPlugin {
  apiVersion?: string;
  command: string;
  args?: string[] | null;
  env?: { name: string; value: string }[] | null;
  provideClusterInfo?: boolean;
}

/** The status of an ExecCredential: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/ */
interface ExecStatus {
  token?: string;
  clientCertificateData?: string;
  clientKeyData?: string;
  expirationTimestamp?: string;
}

async function fromFile(file: string): Promise<Credential> {
  const token = (await readFile(file, 'utf8')).trim();
  if (token === '') throw credentialMissing(`the token file ${file} is empty`);
  return { token, expiresAtMs: Date.now() + fileAgeMaxMs };
}

async function fromPlugin(plugin: ExecPlugin, cluster: Cluster | null): Promise<Credential> {
  const called = `the credential plugin ${plugin.command}`;
  const text = await runPlugin(plugin, called, cluster);
  const { token, clientCertificateData: certificate, clientKeyData: key, expirationTimestamp } = statusIn(text);
  if (token === undefined && certificate === undefined) throw credentialMissing(`${called} gives neither a token nor a certificate`);
  const expiresAtMs = expirationTimestamp === undefined ? undefined : Date.parse(expirationTimestamp);
  if (Number.isNaN(expiresAtMs)) throw credentialMissing(`${called} gives an expirationTimestamp that is no time`);
  return { token, certificate, key, expiresAtMs };
}

/** Nothing of what a plugin prints is told, as there may be secrets in it. */
function statusIn(text: string): ExecStatus {
  try {
    return (JSON.parse(text) as { status?: ExecStatus } | null)?.status ?? {};
  } catch {
    return {};
  }
}

function runPlugin(
  { apiVersion, command, args, env, provideClusterInfo }: ExecPlugin,
  called: string,
  cluster: Cluster | null,
): Promise<string> {
  const information = {
    apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(provideClusterInfo === true && cluster && { cluster: clusterInformation(cluster) }) },
  };
  const added = Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]));
  const options = {
    env: { ...process.env, KUBERNETES_EXEC_INFO: JSON.stringify(information), ...added },
    timeout: pluginTimeoutMs,
    maxBuffer: pluginOutputBytesMax,
  };
  return new Promise((resolve, reject) => {
    const child = execFile(command, args ?? [], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const said = stderr.trim().split('\n').at(-1) ?? '';
      const how = error.killed
        ? `did not end within ${pluginTimeoutMs / 1000} s`
        : `has failed: ${toldOf(said || firstLine(error.message))}`;
      reject(credentialMissing(`${called} ${how}`));
    });
    child.stdin?.end();
  });
}

function clusterInformation({ server, caData, skipTLSVerify, tlsServerName }: Cluster): object {
  return {
    server,
    'certificate-authority-data': caData,
    'insecure-skip-tls-verify': skipTLSVerify || undefined,
    'tls-server-name': tlsServerName,
  };
}

/** A plugin may print whatever it works with. */
function toldOf(text: string): string {
  return visible(withoutSecrets(cut(text, saidCharactersMax)));
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
