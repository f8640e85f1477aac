import { Option } from 'commander';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { momentOf, summaryOf, type ProbeReport } from '../../domain/database/probe-report.ts';
import { outagesOf } from '../../domain/database/outage.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError, unreadable } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { probeJson } from '../probe-view.ts';
import { screenOf } from '../screen.ts';
import type { Terminal } from '../terminal.ts';

const rateDefault = 20;
const rateMax = 200;
const durationMaxMs = 24 * 3_600_000;
const drawMs = 200;
const linePauseMs = 5_000;
const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

interface ProbeOptions extends CommonOptions {
  reader?: string;
  rate: string;
  for?: string;
  urlFile?: string;
  passwordFile?: string;
}

export const registerProbe: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('probe'))
    .description(
      'Writes a small row again and again through the address of a PostgreSQL or MySQL, as a client does, and tells how long writes are ' +
        'refused, which server takes them, and whether one that was acknowledged is lost or there twice. It makes the table ' +
        'holdpoint_heartbeat where there is none, removes its own rows in the end, and leaves the table. It goes on until Ctrl-C.',
    )
    .argument('[url]', 'such as postgresql://user@host:5432/database or mysql://user@host/database, without a password')
    .option('--reader <url>', 'try reads as well, through this address')
    .addOption(new Option('--rate <number>', `writes a second, at most ${rateMax}`).default(String(rateDefault)))
    .option('--for <time>', 'end by itself after this time, such as 90s, 10m or 2h')
    .option('--url-file <file>', 'read the address from the first line of a file, that for reads from the second, with passwords')
    .option('--password-file <file>', 'read the password from a file (else PGPASSWORD, or MYSQL_PWD)')
    .addHelpText(
      'after',
      '\nTLS is spoken and the certificate verified, but for this machine: add ?sslrootcert=FILE for an authority of your own, as that\n' +
        'of RDS is (global-bundle.pem of AWS), or ?sslmode=require or disable for less.\n' +
        '\nExamples:\n  PGPASSWORD=… holdpoint probe postgresql://app@orders.cluster-abc.eu-central-1.rds.amazonaws.com/orders\n' +
        '  holdpoint probe mysql://app@127.0.0.1/shop --password-file shop.password --rate 50 --for 10m --json\n' +
        '\nExit codes: 0 writes were never refused, 6 they were and are accepted again, 7 they are refused in the end, or one is lost\n' +
        'or there twice, 1 the probe could not begin, 2 bad arguments.',
    )
    .action(async (url: string | undefined, options: ProbeOptions) => {
      const terminal = context.terminal(options);
      const report = await measure(url, options, terminal);
      terminal.result(probeJson(report));
      terminal.lines(summaryOf(report, timeText));
      context.exit(exitCodeOf(report));
    });
};

async function measure(url: string | undefined, options: ProbeOptions, terminal: Terminal): Promise<ProbeReport> {
  const { writer, reader } = addressesFrom(url, options);
  const endsAfterMs = options.for === undefined ? durationMaxMs : durationFrom(options.for);
  const writesPerSecond = rateFrom(options.rate);
  const { probeByHand } = await import('../../activities/database/by-hand.ts');
  const probe = await probeByHand({ writer, reader, password: passwordFrom(writer, options, terminal), writesPerSecond });
  const { signal } = terminal.surroundings;
  const screen = screenOf(terminal);
  if (screen) terminal.line('Ctrl-C ends it.');
  const endsAtMs = performance.now() + endsAfterMs;
  let lineAtMs = -Infinity;
  while (!signal.aborted && !probe.isFull && performance.now() < endsAtMs) {
    await sleep(Math.min(drawMs, Math.max(0, endsAtMs - performance.now())), undefined, { signal }).catch(() => undefined);
    const moment = momentOf(probe.report());
    if (screen) screen.draw([moment]);
    else if (performance.now() - lineAtMs >= linePauseMs) {
      lineAtMs = performance.now();
      terminal.line(`${timeText(terminal.surroundings.now().getTime())}  ${moment}`);
    }
  }
  screen?.done();
  const report = await probe.stop();
  await probe.removeRows();
  return report;
}

/** The addresses as they are given; the passwords are where nobody else of the machine sees them. */
function addressesFrom(url: string | undefined, { urlFile, reader }: ProbeOptions): { writer: string; reader?: string } {
  if ((url === undefined) === (urlFile === undefined)) {
    throw new UsageError('Give the address of the database, or --url-file.', '`holdpoint probe --help` shows how.');
  }
  if (urlFile === undefined) {
    for (const text of [url!, ...(reader === undefined ? [] : [reader])]) {
      if (!hasPassword(text)) continue;
      const remedy = 'Leave it out, and give PGPASSWORD or MYSQL_PWD in the environment, --password-file, or --url-file.';
      throw new UsageError('An address has a password in it, which others of this machine see among its processes.', remedy);
    }
    return { writer: url!, ...(reader !== undefined && { reader }) };
  }
  const [first = '', second = ''] = contentOf('The file of the address', urlFile).split(/\r?\n/);
  if (first.trim() === '') throw new UsageError(`The file ${urlFile} has no address in its first line.`);
  const forReads = reader ?? (second.trim() === '' ? undefined : second.trim());
  return { writer: first.trim(), ...(forReads !== undefined && { reader: forReads }) };
}

function hasPassword(text: string): boolean {
  return URL.canParse(text) ? new URL(text).password !== '' : /:\/\/[^/@]*:[^/@]*@/.test(text);
}

function passwordFrom(writer: string, { passwordFile }: ProbeOptions, { surroundings: { env } }: Terminal): string | undefined {
  if (passwordFile !== undefined) return contentOf('The file of the password', passwordFile).replace(/\r?\n$/, '');
  return writer.startsWith('mysql:') || writer.startsWith('mariadb:') ? env.MYSQL_PWD : env.PGPASSWORD;
}

function contentOf(what: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(`${what} ${file}`, error);
  }
}

function rateFrom(text: string): number {
  const rate = Number(text);
  if (!Number.isInteger(rate) || rate < 1 || rate > rateMax) throw new UsageError(`--rate must be a whole number from 1 to ${rateMax}.`);
  return rate;
}

function durationFrom(text: string): number {
  const [, count, unit = ''] = /^(\d{1,5})(s|m|h)$/.exec(text) ?? [];
  const ms = Number(count) * (units[unit] ?? Number.NaN);
  if (!(ms > 0 && ms <= durationMaxMs)) throw new UsageError('--for must be a time such as 90s, 10m or 2h, and at most 24h.');
  return ms;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(11, 23);
}

function exitCodeOf({ writes, rowsCheck }: ProbeReport): number {
  const isWrong = writes.open !== null || (rowsCheck !== null && rowsCheck.lost + rowsCheck.doubled > 0);
  if (isWrong) return exitCodes.errorsFound;
  return outagesOf(writes).length > 0 ? exitCodes.warningsFound : exitCodes.done;
}
