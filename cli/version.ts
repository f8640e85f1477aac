import { readFileSync } from 'node:fs';

/** The version of this program. A build has a package.json of its own. */
export function versionOfPackage(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}
