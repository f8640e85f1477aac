import { resolve } from 'node:path';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { isLoopback } from '../../runbooks/configuration/secret.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';
import { startServing } from '../serving.ts';

const listenDefault = '127.0.0.1:8080';

interface ServeOptions extends CommonOptions {
  config?: string;
  listen: string;
  developmentLogin?: string[];
}

export const registerServe: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('serve'))
    .description(
      'Serves the API and the pages in which people look at runs, sign and operate. It holds no private key: what people sign, they sign ' +
        'with their own. It needs `api` in holdpoint.yaml and Temporal, and stays until Ctrl-C.',
    )
    .option('--config <file>', 'holdpoint.yaml with `api` (else HOLDPOINT_CONFIG, else the file in this folder)')
    .option('--listen <address:port>', 'where it listens for the proxy that ends TLS before it', listenDefault)
    .option('--development-login <person...>', 'print links that sign these people in, for a sandbox; only where all of it is local')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint serve --config /etc/holdpoint.yaml --listen 0.0.0.0:8080\n' +
        '  holdpoint serve --development-login dana ada\n\n' +
        'docs/serving-the-console.md tells how to set it up.\n\n' +
        'Exit codes: 0 stopped by Ctrl-C, 1 Temporal does not answer or the port is taken, 2 bad input or configuration.',
    )
    .action(async (options: ServeOptions) => {
      const terminal = context.terminal(options);
      const { signal, env } = terminal.surroundings;
      const configuration = await readConfiguration(terminal, options.config);
      const file = resolve(configurationFile(terminal, options.config));
      const { host, port } = addressOf(options.listen);
      const origin = originOf(configuration, file);
      const development = options.developmentLogin;
      if (development) requireSandbox(development, { configuration, origin, host });
      const server = await startServing(terminal, { env, file, origin, host, port, ...(development && { development }) });
      try {
        terminal.result({ url: server.url, listen: server.address, links: server.links });
        terminal.line(`Serving ${server.url} (listening on ${server.address}). Ctrl-C stops it.`);
        for (const [person, link] of Object.entries(server.links)) terminal.line(`  sign in as ${person}: ${link}`);
        if (!signal.aborted) await new Promise<void>((stop) => signal.addEventListener('abort', () => stop(), { once: true }));
      } finally {
        await server.stop();
      }
    });
};

function originOf(configuration: Configuration | undefined, file: string): string {
  if (configuration?.api) return configuration.api.url;
  throw new UsageError(
    configuration ? `The configuration ${file} has no section \`api\`.` : `There is no configuration ${file}.`,
    'Add `api: { url: https://holdpoint.example.com }`; docs/serving-the-console.md shows the whole of it.',
  );
}

function addressOf(text: string): { host: string; port: number } {
  const [, host = '', port = ''] = /^(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})$/.exec(text) ?? [];
  if (host !== '' && Number(port) <= 65_535) return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  throw new UsageError(`--listen ${JSON.stringify(text)} is no address with a port.`, 'Write it such as 127.0.0.1:8080.');
}

/** Links that sign anybody in who has them are for one machine, and never for a server that others reach. */
function requireSandbox(
  people: readonly string[],
  { configuration, origin, host }: { configuration: Configuration | undefined; origin: string; host: string },
): void {
  if (!isLoopback(new URL(origin).hostname) || !isLoopback(host)) {
    throw new UsageError(
      '--development-login is for a server that only this machine reaches.',
      'Let `api.url` be http://localhost:PORT and --listen 127.0.0.1:PORT, or configure `api.oidc`.',
    );
  }
  const unknown = people.find((person) => !Object.hasOwn(configuration?.people ?? {}, person));
  if (unknown !== undefined) throw new UsageError(`There is no "${unknown}" in people.`);
}
