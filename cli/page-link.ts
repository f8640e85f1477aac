import { readConfiguration } from './runbook-files.ts';
import type { Terminal } from './terminal.ts';

/**
 * The address of a page, where holdpoint.yaml says where the pages are; undefined where it does not, or there is none that can be read.
 *
 * @param path of the page, such as `/runs/r-20261121-7kq2m4`.
 */
export async function pageLink(terminal: Terminal, path: string, config?: string): Promise<string | undefined> {
  // What is wrong with a configuration is told by what needs one.
  const configuration = await readConfiguration(terminal, config).catch(() => undefined);
  return configuration?.api && `${configuration.api.url}${path}`;
}
