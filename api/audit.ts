import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { canonicalText } from '../domain/plan/plan.ts';
import { ToldError } from '../domain/errors.ts';

/** An attempt that was refused before it reached a run. */
export interface RefusedRequest {
  code: string;
  /** Id in holdpoint.yaml, or the name of a token; left out where nobody knows who it was. */
  who?: string;
  /** Whom the statement of the request names, where that is somebody else. */
  asks?: string;
  method: string;
  /** The route, never the address as it was sent: that may have secrets in it. */
  route: string;
  run?: string;
  address: string;
}

/** A line of the audit log. `hash` is that of the line without it; `previous` that of the line before. */
export interface AuditLine extends RefusedRequest {
  sequence: number;
  at: string;
  previous: string;
  /** Attempts of the minute before that were not written down, as there were too many. */
  unwritten?: number;
  hash: string;
}

/** Lines of one minute; whoever floods the server must not fill its disk. */
export const auditLinesPerMinute = 600;
const fileBytesMax = 256 * 1024 * 1024;
const minuteMs = 60_000;
const firstPrevious = 'sha256:0';

/** Where refused attempts are written down, each line chained to the one before. */
export class AuditLog {
  private readonly write: (line: string) => Promise<void>;
  /** Ends the writing, when the last line is there. */
  readonly close: () => Promise<void>;
  private readonly nowMs: () => number;
  private sequence: number;
  private previous: string;
  private minute = { sinceMs: -Infinity, written: 0 };
  private unwritten = 0;
  private last: Promise<void> = Promise.resolve();

  /** @param options `after` is the last line that is there already. */
  constructor(
    write: (line: string) => Promise<void>,
    nowMs: () => number = Date.now,
    { after, end = async () => undefined }: { after?: AuditLine; end?: () => Promise<void> } = {},
  ) {
    this.write = write;
    this.close = () => this.last.then(end);
    this.nowMs = nowMs;
    this.sequence = after?.sequence ?? 0;
    this.previous = after?.hash ?? firstPrevious;
  }

  /** Writes an attempt down, one after the other. Throws what the writing does. */
  note(attempt: RefusedRequest): Promise<void> {
    const now = this.nowMs();
    if (now - this.minute.sinceMs >= minuteMs) this.minute = { sinceMs: now, written: 0 };
    if (this.minute.written >= auditLinesPerMinute) {
      this.unwritten += 1;
      return Promise.resolve();
    }
    this.minute.written += 1;
    const unwritten = this.unwritten === 0 ? {} : { unwritten: this.unwritten };
    this.unwritten = 0;
    this.sequence += 1;
    const content = { ...attempt, sequence: this.sequence, at: new Date(now).toISOString(), previous: this.previous, ...unwritten };
    const line: AuditLine = { ...content, hash: hashOf(content) };
    this.previous = line.hash;
    const written = this.last.then(() => this.write(JSON.stringify(line)));
    this.last = written.catch(() => undefined);
    return written;
  }
}

/**
 * An audit log in a file, which it goes on with. Throws ToldError where the file is not its own, was changed, or is too large; a last line
 * that was cut off when the machine went down is ended, and the chain goes on from the one before.
 */
export async function openAuditFile(path: string, nowMs: () => number = Date.now): Promise<AuditLog> {
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (size > fileBytesMax) {
    throw new ToldError('usage', `The audit file ${path} has more than ${fileBytesMax} bytes.`, 'Move it away; a new one is begun.');
  }
  const text = size === 0 ? '' : await readFile(path, 'utf8');
  const { lines, problem } = readAudit(text);
  if (problem !== undefined)
    throw new ToldError('usage', `The audit file ${path} was changed: ${problem}`, 'Keep it, and name another one.');
  const file = await open(path, 'a', 0o600);
  if (text !== '' && !text.endsWith('\n')) await file.appendFile('\n');
  return new AuditLog(
    async (line) => {
      await file.appendFile(`${line}\n`);
      await file.datasync();
    },
    nowMs,
    { after: lines.at(-1), end: () => file.close() },
  );
}

/**
 * The lines of an audit log, and what is wrong with their chain, as a sentence. A line that was cut off is no line.
 *
 * @param after the line before the first one; none where it is left out.
 */
export function readAudit(
  text: string,
  after: Pick<AuditLine, 'sequence' | 'hash'> = { sequence: 0, hash: firstPrevious },
): { lines: AuditLine[]; problem?: string } {
  const lines: AuditLine[] = [];
  for (const [index, one] of text.split('\n').entries()) {
    const line = parsed(one);
    if (!line) continue;
    const { hash, ...content } = line;
    const before = lines.at(-1) ?? after;
    const isNext = line.sequence === before.sequence + 1 && line.previous === before.hash;
    if (!isNext || hash !== hashOf(content)) return { lines, problem: `line ${index + 1} does not follow the one before, or was changed.` };
    lines.push(line);
  }
  return { lines };
}

function parsed(text: string): AuditLine | undefined {
  try {
    return JSON.parse(text) as AuditLine;
  } catch {
    return undefined;
  }
}

function hashOf(content: Omit<AuditLine, 'hash'>): string {
  return `sha256:${createHash('sha256').update(canonicalText(content)).digest('hex')}`;
}
