import { open } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import type { RunBundle } from '../../client/run-bundle.ts';
import { Redaction } from '../../domain/bundle/redaction.ts';
import type { Json } from '../../domain/json.ts';
import { counted } from '../../domain/text.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { unreadable } from '../errors.ts';
import { readConfiguration } from '../runbook-files.ts';
import { withHoldpoint } from '../session.ts';
import { tarOf, type ArchivedFile } from '../tar.ts';
import type { Terminal } from '../terminal.ts';
import { versionOfPackage } from '../version.ts';

interface BundleOptions extends CommonOptions {
  out?: string;
  config?: string;
}

/** Whether they are set is told, never what they hold. */
const variablesTold = /^(HOLDPOINT_|TEMPORAL_|AWS_|KUBECONFIG$|NODE_OPTIONS$|NO_COLOR$|TERM$)/;

export const registerBundle: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('bundle'))
    .description(
      'Makes one archive of a run for a bug report: how it stands, what has happened, the events of its history, versions and ' +
        'configuration. Secrets, and names of people, clusters, nodes and workloads, are taken out; each name has one replacement ' +
        'everywhere. It needs no worker, sends nothing anywhere, and says what is in it: read it before you hand it on.',
    )
    .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
    .option('--out <file>', 'the new file; holdpoint-RUN.tar.gz in this folder if left out')
    .option('--config <file>', 'holdpoint.yaml (else HOLDPOINT_CONFIG, else the one in this folder)')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint bundle eks/eu-central-1/demo --out report.tar.gz\n  tar -xzOf report.tar.gz state.json\n\n' +
        'Exit codes: 0 written, 1 there is no such run or Temporal could not be asked, 2 bad input.',
    )
    .action(async (name: string, options: BundleOptions) => {
      const terminal = context.terminal(options);
      const bundle = await withHoldpoint(terminal, (holdpoint) => holdpoint.bundle(name));
      // What is wrong with it may be what the report is about.
      const configuration = await readConfiguration(terminal, options.config).catch(() => undefined);
      const { files, names } = bundleFiles(bundle, asJson(configuration ?? null), terminal);
      const file = options.out ?? `holdpoint-${bundle.run}.tar.gz`;
      await writeNew(file, gzipSync(tarOf(files, terminal.surroundings.now())));
      terminal.result({ file, files: files.map(({ name: of, text }) => ({ name: of, bytes: text.length })), namesTakenOut: names });
      terminal.lines([
        `Wrote ${file}, with:`,
        ...files.map(({ name: of, text }) => `  ${of.padEnd(20)} ${contents[of] ?? ''} (${Math.ceil(text.length / 1_024)} KiB)`),
        `${counted(names, 'name')} and every secret that is known by its form were taken out. Texts that people wrote, such as`,
        'reasons, are in it without the names: read it before you hand it on.',
      ]);
    });
};

const contents: Readonly<Record<string, string>> = {
  'about.json': 'versions, and which variables are set',
  'state.json': 'how the run stands, and what its steps say',
  'entries.json': 'the entries of its record, as Temporal has them',
  'history.json': 'the events of its history, without what they carry',
  'configuration.json': 'holdpoint.yaml, as it was understood',
};

/** The files of an archive, without names and secrets. */
export function bundleFiles(
  { run, server, state, entries, history }: RunBundle,
  configuration: Json,
  terminal: Terminal,
): { files: ArchivedFile[]; names: number } {
  const { surroundings } = terminal;
  const redaction = new Redaction();
  const parts: Record<string, Json> = {
    'state.json': state,
    'entries.json': entries,
    'history.json': history,
    'configuration.json': configuration,
  };
  for (const part of Object.values(parts)) redaction.learn(part);
  const about = {
    run,
    at: surroundings.now().toISOString(),
    holdpoint: versionOfPackage(),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    server,
    variablesSet: Object.keys(surroundings.env).filter((name) => variablesTold.test(name)),
  };
  const files = Object.entries(parts).map(([name, part]) => ({ name, text: `${JSON.stringify(redaction.taken(part), null, 2)}\n` }));
  return { files: [{ name: 'about.json', text: `${JSON.stringify(about, null, 2)}\n` }, ...files], names: redaction.size };
}

function asJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx', 0o600).catch((error: unknown) => {
    throw unreadable(`The new file ${file}`, error, 'Name another one with --out.');
  });
  try {
    await handle.writeFile(bytes);
  } finally {
    await handle.close();
  }
}
