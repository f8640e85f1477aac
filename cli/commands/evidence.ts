import { writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { counted } from '../../domain/text.ts';
import { readEvidence, RecordUnreachableError, type EvidenceReport, type ReadRecord } from '../../client/evidence.ts';
import { exportSignatures } from '../../client/evidence-export.ts';
import type { Configuration, EvidencePlace } from '../../runbooks/configuration/configuration.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { unreadable, UsageError } from '../errors.ts';
import { pageDataOf } from '../evidence-page/data.ts';
import { evidencePage } from '../evidence-page/page.ts';
import { recordLines } from '../evidence-view.ts';
import { exitCodes } from '../exit-codes.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';
import type { Terminal } from '../terminal.ts';
import { versionOfPackage } from '../version.ts';

type VerifyOptions = CommonOptions & { config?: string; output?: string };
type ShowOptions = CommonOptions & { config?: string; html?: boolean; out?: string };

const help = `
Examples:
  holdpoint evidence verify evidence/r-20261121-7kq2m4
  holdpoint evidence verify s3://our-evidence/holdpoint/r-20261121-7kq2m4 --output r-20261121-7kq2m4.jsonl

Exit codes: 0 nothing was tampered with, 1 something was, 2 it cannot be read, 3 it is intact, but does not end with the end of its run
or could not be compared with the second place.`;

const showHelp = `
Examples:
  holdpoint evidence show evidence/r-20261121-7kq2m4
  holdpoint evidence show evidence/r-20261121-7kq2m4 --config holdpoint.yaml --html --out for-the-auditor.html

Exit codes: 0 nothing was tampered with, 1 something was, 2 it cannot be read.`;

export const registerEvidence: RegisterCommand = (program, context) => {
  const evidence = program.command('evidence');
  withCommonOptions(evidence.command('verify'))
    .summary('check offline that no part of a record was changed, removed or moved, and that its signatures hold')
    .argument('<record>', 'the record, as `holdpoint show` names it: a directory or s3://BUCKET/PREFIX/RUN; or the file it was written to')
    .option(
      '--config <file>',
      'holdpoint.yaml whose people, policies and workers must be those of the record, with the second place to compare',
    )
    .option('--output <file>', 'write the record to a new file as JSON lines, too')
    .addHelpText('after', help)
    .action(async (record: string, options: VerifyOptions) => {
      const terminal = context.terminal(options);
      const configuration = await readConfiguration(terminal, options.config);
      const { report } = await verify(terminal, record, configuration, options);
      terminal.result(report);
      showReport(terminal, record, report);
      const isWhole = report.ending === 'ended' && report.anchors !== 'unreadable';
      context.exit(!report.ok ? exitCodes.error : isWhole ? exitCodes.done : exitCodes.holding);
    });
  withCommonOptions(evidence.command('show'))
    .summary('print a record for a reader: what happened when, who has signed what, what was changed; then what it proves')
    .argument('<record>', 'the record, as for `evidence verify`')
    .option('--config <file>', 'holdpoint.yaml to compare it with, as for `evidence verify`')
    .option('--html', 'write it as one page that verifies itself in a browser, and loads nothing')
    .option('--out <file>', 'the new file for the page; RUN.html in this folder if left out')
    .addHelpText('after', showHelp)
    .action(async (record: string, options: ShowOptions) => {
      const terminal = context.terminal(options);
      if (options.out !== undefined && !options.html) throw new UsageError('--out is for a page.', 'Give --html, too.');
      const configuration = await readConfiguration(terminal, options.config);
      const read = await verify(terminal, record, configuration, { config: options.config });
      const { report, entries } = read;
      const page = options.html ? await writePage(terminal, record, read, configuration, options) : undefined;
      terminal.result(page === undefined ? { report, entries: entries.map(({ entry }) => entry) } : { report, page });
      if (page === undefined) terminal.lines([...recordLines(entries), '']);
      showReport(terminal, record, report);
      if (page !== undefined) terminal.line(`Wrote ${page}. Open it in a browser: it shows the record, and verifies it there.`);
      context.exit(report.ok ? exitCodes.done : exitCodes.error);
    });
  withCommonOptions(evidence.command('export'))
    .summary('write the signatures of SSH keys and passkeys to a new folder, for `ssh-keygen` and `openssl`')
    .argument('<record>', 'the record, as for `evidence verify`')
    .requiredOption('--to <folder>', 'the new folder')
    .option('--config <file>', 'holdpoint.yaml whose keys are written, instead of those that the record names')
    .addHelpText('after', '\nExample:\n  holdpoint evidence export evidence/r-20261121-7kq2m4 --to signatures')
    .action(async (record: string, options: VerifyOptions & { to: string }) => {
      const terminal = context.terminal(options);
      const configuration = await readConfiguration(terminal, options.config);
      const { report, entries } = await verify(terminal, record, configuration, options);
      if (!report.ok) {
        terminal.result(report);
        showReport(terminal, record, report);
        return context.exit(exitCodes.error);
      }
      const exported = await exportSignatures(entries, options.to, configuration?.people);
      terminal.result({ folder: options.to, ...exported });
      const { signatures, others } = exported;
      terminal.line(`Wrote ${counted(signatures.length, 'signature')} to ${options.to}; ${others} more are of other keys. In that folder:`);
      terminal.lines(signatures.map(({ command }) => `  ${command}`));
      if (!configuration) terminal.line('The keys are those that the record names; --config takes those of holdpoint.yaml.');
    });
};

/** Writes the page of a record to a new file, whatever the record is worth: the page says that itself. */
async function writePage(
  terminal: Terminal,
  record: string,
  { inHand }: ReadRecord,
  configuration: Configuration | undefined,
  { config, out }: ShowOptions,
): Promise<string> {
  if (!inHand) throw new UsageError(`${record} is no text that a page could show.`, 'Look at it with `holdpoint evidence verify`.');
  const file = out ?? `${inHand.run}.html`;
  const origin = {
    record,
    ...(configuration && { configuration: configurationFile(terminal, config) }),
    madeAt: terminal.surroundings.now().toISOString(),
    version: versionOfPackage(),
  };
  const page = await evidencePage(pageDataOf(inHand, { people: configuration?.people, authority: configuration }, origin));
  // What is there may be another page that somebody wants to keep.
  await writeFile(file, page, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`The page cannot be written to ${file}: ${why}.`, 'Name a new file with --out.');
  });
  return file;
}

async function verify(
  terminal: Terminal,
  record: string,
  configuration: Configuration | undefined,
  { config, output }: VerifyOptions,
): ReturnType<typeof readEvidence> {
  const place = configuration?.evidence;
  const region = place && 's3' in place ? place.s3.region : terminal.surroundings.env.AWS_REGION;
  try {
    return await readEvidence(record, configuration?.people, {
      region,
      output,
      authority: configuration,
      anchor: anchorPlace(configurationFile(terminal, config), configuration?.anchor),
    });
  } catch (error) {
    if (error instanceof RecordUnreachableError) throw error;
    throw unreadable(`The record ${record}`, error, '`holdpoint show` names the record of a run, as its worker sees it.');
  }
}

function anchorPlace(file: string, place: EvidencePlace | undefined): EvidencePlace | undefined {
  return place && 'directory' in place ? { directory: resolve(dirname(file), place.directory) } : place;
}

function showReport(terminal: Terminal, record: string, report: EvidenceReport): void {
  const { colors } = terminal;
  for (const { line, object, sentence } of report.problems) terminal.line(`${colors.red('✗')} ${object ?? `line ${line}`}: ${sentence}`);
  const people = [...new Set(report.signatures.map(({ person }) => person))].join(', ');
  const signers = people ? ` (${people})` : '';
  const kept = report.kept === undefined ? '' : `, ${report.kept} kept beside them`;
  const size = `${counted(report.entries, 'entry', 'entries')}${kept}, ${counted(report.signatures.length, 'signature')}${signers}`;
  if (report.ok && report.ending === 'ended') {
    terminal.line(`${colors.green('✓')} ${report.run ?? record}: ${size}; nothing was changed, removed or moved.`);
  } else if (report.ok) {
    terminal.line(`${colors.yellow('!')} ${report.run ?? record}: ${size}; what is there was not changed.`);
  } else {
    terminal.line(`${colors.red('✗')} ${report.run ?? record}: ${size}, ${counted(report.problems.length, 'problem')}.`);
  }
  if (report.ending !== 'ended')
    terminal.line('  The record does not end with the end of the run: the run is still open, or the end was cut off.');
  for (const { sequence, person, madeWith } of report.signatures) {
    if (madeWith?.type !== 'passkey') continue;
    const kind = madeWith.deviceBound ? 'a passkey bound to one device' : 'a passkey that is synced between devices';
    terminal.line(`  ${person} has signed entry ${sequence} with ${kind}, on ${madeWith.origin}.`);
  }
  for (const note of report.notes) terminal.line(`  ${colors.yellow('!')} ${note}`);
  showProof(terminal, report);
  if (report.locked) terminal.line(`  ${lockSentence(report.locked)}`);
}

function showProof(terminal: Terminal, { proven, notProven }: EvidenceReport): void {
  if (proven.length === 0) return;
  terminal.lines(['', '  Proven:', ...proven.map((sentence) => `  + ${sentence}`)]);
  terminal.lines(['  Not proven:', ...notProven.map((sentence) => `  - ${sentence}`)]);
}

function lockSentence({ objects, until }: NonNullable<EvidenceReport['locked']>): string {
  if (until === undefined) return 'S3 shows no lock on any object: whoever may delete objects in the bucket can remove entries.';
  return `Object Lock keeps ${objects} objects, none of them shorter than until ${until}.`;
}
