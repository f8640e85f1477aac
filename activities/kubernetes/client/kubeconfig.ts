import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { KubeConfig, type User } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { HoldpointError } from '../../../domain/errors.ts';
import { didYouMean } from '../../../domain/suggestion.ts';
import type { ClusterAccess } from '../../../runbooks/configuration/configuration.ts';
import { withoutFullStop } from '../../failure.ts';
import { apisOf, type KubernetesApis } from './connect.ts';
import { proxyOfEnvironment } from './proxy-of-environment.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Which cluster is meant, as `kubectl` is told it. */
export interface KubeconfigOptions {
  /** Path of a file; without it KUBECONFIG, then `~/.kube/config`, then what a pod finds. */
  kubeconfig?: string;
  /** Name of a context; without it the current one. */
  context?: string;
  env: Environment;
}

/** The API of the cluster that a kubeconfig names. */
export interface KubeconfigConnection {
  apis: KubernetesApis;
  /** The name of the cluster in the kubeconfig, and where it is. */
  cluster: string;
  server: string;
}

/**
 * Connects as `kubectl` does, through the proxy of the environment, too: certificates, tokens and credential plugins (`aws eks get-token`
 * and the like) are the business of
 * the Kubernetes client. Sends nothing yet. Throws `kubeconfig-invalid`.
 */
export function connectByKubeconfig(options: KubeconfigOptions): KubeconfigConnection {
  const { config, file } = load(options);
  const fail = (cause: string, hint = ''): never => {
    throw new HoldpointError('kubeconfig-invalid', { file, cause }, { hint });
  };
  const name = options.context ?? config.getCurrentContext();
  const names = config.getContexts().map((context) => context.name);
  const context = config.getContextObject(name);
  if (!name) return fail('it names no current context, and none was asked for');
  if (!context) return fail(`it has no context "${name}"`, didYouMean(name, names) || ` There are: ${names.join(', ') || 'none'}.`);
  config.setCurrentContext(name);
  const cluster = config.getCurrentCluster();
  if (!cluster?.server) return fail(`its context "${name}" leads to the cluster "${context.cluster}", of which it says no server`);
  const server = cluster.server.replace(/\/+$/, '');
  // It would stand in every error of the network.
  if (/^[a-z]+:\/\/[^/]*@/i.test(server)) {
    const remedy = 'Put user and password into the user of the kubeconfig, and take them out of the address of the server.';
    throw new HoldpointError(
      'kubeconfig-invalid',
      { file, cause: `its cluster "${cluster.name}" has a password in the address of its server` },
      { remedy },
    );
  }
  const proxyUrl = cluster.proxyUrl ?? proxyOfEnvironment(server, options.env);
  if (proxyUrl !== undefined) {
    config.clusters = config.clusters.map((other) => (other.name === cluster.name ? { ...other, proxyUrl } : other));
  }
  // The client refuses plain HTTP unless told that there is nothing to verify.
  if (server.startsWith('http://')) {
    config.clusters = config.clusters.map((other) => (other.name === cluster.name ? { ...other, skipTLSVerify: true } : other));
  }
  return { apis: apisOf(config, server, `user "${context.user}" of the kubeconfig`), cluster: cluster.name, server };
}

/**
 * Connects to a cluster of `clusters` in holdpoint.yaml. Nothing of the environment takes part, but for the address of the API server
 * that a pod finds there. Throws `kubeconfig-invalid`.
 */
export async function connectToCluster(access: ClusterAccess, env: Environment): Promise<KubernetesApis> {
  if (!('inCluster' in access)) return connectByKubeconfig({ ...access, env: {} }).apis;
  if (env.KUBERNETES_SERVICE_HOST === undefined) {
    const details = {
      file: 'The service account of the pod',
      cause: 'the worker does not run in a pod: KUBERNETES_SERVICE_HOST is not set',
    };
    const remedy = 'Give the cluster a `kubeconfig` and a `context` in holdpoint.yaml, or run the worker in the cluster.';
    throw new HoldpointError('kubeconfig-invalid', details, { remedy });
  }
  const config = new KubeConfig();
  config.loadFromCluster();
  return apisOf(config, config.getCurrentCluster()?.server ?? '', 'the service account of the worker');
}

function load({ kubeconfig, env }: KubeconfigOptions): { config: KubeConfig; file: string } {
  const files = kubeconfig === undefined ? filesOf(env) : [kubeconfig];
  const config = new KubeConfig();
  if (files.length === 0 && env.KUBERNETES_SERVICE_HOST !== undefined) {
    config.loadFromCluster();
    return { config, file: 'The service account of this pod' };
  }
  const file = `The kubeconfig ${files.join(delimiter)}`;
  try {
    const [first, ...others] = files;
    if (first === undefined) throw new Error('there is none: neither KUBECONFIG nor ~/.kube/config');
    loadFile(config, first);
    for (const other of others) {
      const more = new KubeConfig();
      loadFile(more, other);
      // The first file that names a current context wins, as for kubectl.
      config.mergeConfig(more, Boolean(config.getCurrentContext()));
    }
    return { config, file };
  } catch (error) {
    throw new HoldpointError('kubeconfig-invalid', { file: file.trimEnd(), cause: causeOf(error) }, { cause: error });
  }
}

/** Also takes from the file what the client passes over: `tokenFile`, and that a plugin may be beside the file. */
function loadFile(config: KubeConfig, file: string): void {
  config.loadFromFile(file);
  const { users } = parse(readFileSync(file, 'utf8')) as { users?: { name: string; user?: { tokenFile?: string } | null }[] };
  const beside = (path: string): string => (isAbsolute(path) ? path : join(dirname(file), path));
  config.users = config.users.map((user): User => {
    const { command } = (user.exec ?? {}) as { command?: string };
    const tokenFile = users?.find(({ name }) => name === user.name)?.user?.tokenFile;
    return {
      ...user,
      ...(command?.includes('/') && { exec: { ...user.exec, command: beside(command) } as object }),
      // The form in which the client keeps the token file of a pod.
      ...(tokenFile && { authProvider: { name: 'tokenFile', config: { tokenFile: beside(tokenFile) } } }),
    };
  });
}

/** None where there is no file at its usual place either. */
function filesOf({ KUBECONFIG = '', HOME = homedir() }: Environment): string[] {
  const named = KUBECONFIG.split(delimiter).filter((file) => file !== '');
  if (named.length > 0) return named;
  const usual = join(HOME, '.kube', 'config');
  return existsSync(usual) ? [usual] : [];
}

function causeOf(error: unknown): string {
  if ((error as { code?: unknown }).code === 'ENOENT') return 'there is no such file';
  const message = error instanceof Error ? error.message : String(error);
  // A parser quotes lines of the file, in which there may be secrets.
  const isOfParser = error instanceof Error && error.name === 'YAMLException';
  return withoutFullStop(isOfParser ? 'it is no YAML' : (message.split('\n')[0] ?? ''));
}
