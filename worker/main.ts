import { Runtime, DefaultLogger, type LogLevel } from '@temporalio/worker';
import { pino } from 'pino';
import { requestSweep } from '../client/sweep.ts';
import { ToldError } from '../domain/errors.ts';
import { workerSettings } from './settings.ts';
import { createWorker } from './worker.ts';

const temporalLevels = { trace: 'TRACE', debug: 'DEBUG', info: 'INFO', warn: 'WARN', error: 'ERROR' } as const;

/** Runs a worker until it is asked to end. Logs JSON lines to stderr; prints one line to stdout when it is listening. */
async function main(): Promise<void> {
  // As in the command line (cli/process.ts).
  process.noDeprecation = true;
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  const settings = workerSettings(process.env);
  const log = pino({ name: 'holdpoint-worker', level: settings.logLevel }, pino.destination(2));
  const logger = new DefaultLogger(temporalLevels[settings.logLevel], ({ level, message, meta }) => {
    log[pinoLevelOf(level)](meta ?? {}, message);
  });
  Runtime.install({ logger, shutdownSignals: ['SIGINT', 'SIGTERM'] });
  const worker = await createWorker(settings);
  const { taskQueue, address, configurationFile, version } = settings;
  const listening = { listening: true, taskQueue, address, configuration: configurationFile, ...version };
  process.stdout.write(`${JSON.stringify(listening)}\n`);
  requestSweep(settings).catch((error: unknown) => log.warn({ err: error }, 'No sweep after runs that are over could be asked for.'));
  await worker.run();
}

function pinoLevelOf(level: LogLevel): 'trace' | 'debug' | 'info' | 'warn' | 'error' {
  const levels = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;
  return levels[level];
}

try {
  await main();
} catch (error) {
  const remedy = error instanceof ToldError ? ` ${error.remedy}` : '';
  process.stderr.write(`holdpoint worker: ${error instanceof Error ? error.message : String(error)}${remedy}\n`);
  process.exitCode = 1;
}
