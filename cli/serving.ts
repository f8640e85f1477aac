import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { connectTemporal, temporalSettings } from '../client/connection.ts';
import { Holdpoint } from '../client/holdpoint.ts';
import { createConfigurationReader } from '../worker/configuration-file.ts';
import { stagePeople } from './environment.ts';
import { UsageError } from './errors.ts';
import { readConfiguration } from './runbook-files.ts';
import type { Terminal } from './terminal.ts';
import { versionOfPackage } from './version.ts';

/** For so long Temporal may take to answer, when it is asked whether it is there. */
const readyTimeoutMs = 2_000;

/** A server that listens. */
export interface Serving {
  url: string;
  address: string;
  /** What signs people of a sandbox in, by their ids. */
  links: Record<string, string>;
  stop(): Promise<void>;
}

/** What is served, and where. */
export interface ServingOptions {
  env: Readonly<Record<string, string | undefined>>;
  /** Path of holdpoint.yaml. */
  file: string;
  /** Where people reach it, without a path. */
  origin: string;
  host: string;
  port: number;
  /** People of a sandbox whom links sign in. */
  development?: readonly string[];
}

/** Serves the API and the pages. Throws what `connectTemporal` does, UsageError where the address cannot be had. */
export async function startServing(terminal: Terminal, options: ServingOptions): Promise<Serving> {
  const { env, file, origin, host, port, development } = options;
  const settings = temporalSettings(env);
  const client = await connectTemporal(settings);
  try {
    // Loaded here: whoever does not serve need not wait for it.
    const { composeServer } = await import('../api/compose.ts');
    const pages = pagesFolder();
    const { app, links } = await composeServer({
      holdpoint: new Holdpoint(client, settings),
      readConfiguration: createConfigurationReader(file),
      configurationFile: file,
      env,
      origin,
      version: versionOfPackage(),
      ...(pages !== undefined && { pages }),
      ...(development && { development }),
      isReady: () =>
        client.connection
          .withDeadline(Date.now() + readyTimeoutMs, () => client.workflowService.getSystemInfo({}))
          .then(
            () => true,
            () => false,
          ),
      onError: (error) => terminal.note(`error: ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`),
      onAudit: (line) => terminal.note(`refused: ${line}`),
    });
    const address = await listening(app, host, port);
    const stop = async (): Promise<void> => {
      await app.close();
      await client.connection.close();
    };
    return { url: origin, address, links, stop };
  } catch (error) {
    await client.connection.close();
    throw error;
  }
}

/**
 * Serves the API and the pages to the people of an environment, whom links sign in. Undefined where its configuration, which may have been
 * kept, has no address for that on this machine, or its port is taken.
 */
export async function serveEnvironment(terminal: Terminal, { env: own }: { env: Record<string, string> }): Promise<Serving | undefined> {
  const env = { ...terminal.surroundings.env, ...own };
  const file = own.HOLDPOINT_CONFIG ?? '';
  const url = (await readConfiguration(terminal, file))?.api?.url;
  if (url === undefined || new URL(url).hostname !== 'localhost') return undefined;
  const options = { env, file, origin: url, host: '127.0.0.1', port: Number(new URL(url).port) };
  try {
    return await startServing(terminal, { ...options, development: Object.keys(stagePeople) });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.note(`The pages are not served. ${error.message}`);
    return undefined;
  }
}

async function listening(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    await app.close();
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`It cannot listen on ${host}:${port}: ${code ?? 'no reason is known'}.`, 'Name another address with --listen.');
  }
}

/** Where the build puts the pages, beside this program; undefined where they were not built. */
export function pagesFolder(): string | undefined {
  const beside = ['../console', '../dist/console'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  return beside.find((folder) => existsSync(`${folder}/index.html`));
}
