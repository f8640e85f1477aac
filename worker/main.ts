import { Runtime } from '@temporalio/worker';
import { withoutCredentials } from '../activities/secrets.ts';
import { requestSweep } from '../client/sweep.ts';
import { ToldError } from '../domain/errors.ts';
import { visible } from '../domain/visible.ts';
import { createLog } from './log.ts';
import { workerSettings } from './settings.ts';
import { createWorker } from './worker.ts';

/** Runs a worker until it is asked to end. Logs JSON lines to stderr; prints one line to stdout when it is listening. */
async function main(): Promise<void> {
  // As in the command line (cli/process.ts).
  process.noDeprecation = true;
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
  const settings = workerSettings(process.env);
  const { log, temporalLogger } = createLog(settings.logLevel);
  Runtime.install({ logger: temporalLogger, shutdownSignals: ['SIGINT', 'SIGTERM'] });
  const worker = await createWorker(settings);
  const { taskQueue, address, configurationFile, version } = settings;
  const listening = { listening: true, taskQueue, address, configuration: configurationFile, ...version };
  process.stdout.write(`${JSON.stringify(listening)}\n`);
  if (settings.member === undefined)
    requestSweep(settings).catch((error: unknown) => log.warn({ err: error }, 'No sweep after runs that are over could be asked for.'));
  await worker.run();
}

try {
  await main();
} catch (error) {
  const remedy = error instanceof ToldError ? ` ${error.remedy}` : '';
  const told = `holdpoint worker: ${error instanceof Error ? error.message : String(error)}${remedy}`;
  process.stderr.write(`${visible(withoutCredentials(told))}\n`);
  process.exitCode = 1;
}
