import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';

/**
 * Only errors are logged: that a server or a worker is away is what the tests want. To be called before anything of Temporal's is used.
 * Files share their process, so an earlier one may have done it, and have left a connection open that keeps it.
 */
export function quietTemporal(): void {
  if (Runtime._instance !== undefined) return;
  const filter = makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' });
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter } } });
}
