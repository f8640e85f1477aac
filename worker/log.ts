import { DefaultLogger, type LogLevel } from '@temporalio/worker';
import { pino, type Logger } from 'pino';
import { withoutCredentials } from '../activities/secrets.ts';
import { visibleJson } from '../domain/visible.ts';
import type { WorkerSettings } from './settings.ts';

const temporalLevels = { trace: 'TRACE', debug: 'DEBUG', info: 'INFO', warn: 'WARN', error: 'ERROR' } as const;
const pinoLevels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const satisfies Record<
  LogLevel,
  string
>;

/**
 * The log of a worker: a line of JSON for each event. Whoever reads it may read it at a terminal, and what clusters and servers have said
 * stands in it: nothing in a line is obeyed, and no credential that the worker uses is in it.
 */
export function createLog(
  level: WorkerSettings['logLevel'],
  destination: { write(line: string): unknown } = pino.destination(2),
): { log: Logger; temporalLogger: DefaultLogger } {
  const write = (json: string): void => void destination.write(`${visibleJson(withoutCredentials(json.trimEnd()))}\n`);
  const log = pino({ name: 'holdpoint-worker', level }, { write });
  const temporalLogger = new DefaultLogger(temporalLevels[level], (entry) => log[pinoLevels[entry.level]](entry.meta ?? {}, entry.message));
  return { log, temporalLogger };
}
