import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { HoldpointError } from '../../../domain/errors.ts';
import { didYouMean } from '../../../domain/suggestion.ts';
import { withoutFullStop } from '../../failure.ts';
import { apisOf, type KubernetesApis } from './connect.ts';

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
 * Connects as `kubectl` does: certificates, tokens and credential plugins (`aws eks get-token` and the like) are the business of
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
  // The client refuses plain HTTP unless told that there is nothing to verify.
  if (server.startsWith('http://')) {
    config.clusters = config.clusters.map((other) => (other === cluster ? { ...cluster, skipTLSVerify: true } : other));
  }
  return { apis: apisOf(config, server, `user "${context.user}" of the kubeconfig`), cluster: cluster.name, server };
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
    config.loadFromFile(first);
    for (const other of others) {
      const more = new KubeConfig();
      more.loadFromFile(other);
      // The first file that names a current context wins, as for kubectl.
      config.mergeConfig(more, Boolean(config.getCurrentContext()));
    }
    return { config, file };
  } catch (error) {
    throw new HoldpointError('kubeconfig-invalid', { file: file.trimEnd(), cause: causeOf(error) }, { cause: error });
  }
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
