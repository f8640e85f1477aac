// npm leaves packages for other platforms out of package-lock.json where its registry does not hand them out, and `npm ci` then
// refuses the file. This adds them as npm writes them, with their checksums as far as the registry tells them: `npm run lock` after
// adding a package.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const systems = ['darwin', 'win32', 'freebsd', 'netbsd', 'openbsd', 'sunos', 'aix', 'android', 'openharmony', 'linux'];
const processors = ['arm64', 'x64', 'ia32', 'ppc64', 's390x', 'riscv64', 'loong64', 'mips64el', 'arm'];
const file = new URL('../package-lock.json', import.meta.url);

/** The optional packages of a lock file that it has no entry for: name, version and the package that wants them. */
export function missingFrom(lock) {
  return Object.entries(lock.packages).flatMap(([place, parent]) =>
    Object.entries(parent.optionalDependencies ?? {})
      .filter(([name]) => !(`node_modules/${name}` in lock.packages) && !(`${place}/node_modules/${name}` in lock.packages))
      .map(([name, range]) => ({ name, version: range.replace(/^[\^~]/, ''), isDev: parent.dev === true })),
  );
}

function entryFor({ name, version, isDev }) {
  const words = name.split(/[-/]/);
  const system = systems.find((candidate) => words.includes(candidate));
  const processor = processors.find((candidate) => words.includes(candidate));
  return {
    version,
    ...(processor && { cpu: [processor] }),
    ...(isDev && { dev: true }),
    optional: true,
    ...(system && { os: [system] }),
  };
}

/** Checksum of a package as the registry has it; undefined where it does not say. */
async function checksumOf(name, version) {
  const answer = await promisify(execFile)('npm', ['view', `${name}@${version}`, 'dist.integrity']).catch(() => undefined);
  return answer?.stdout.trim() || undefined;
}

if (process.argv[1] !== undefined && import.meta.url === new URL(`file://${process.argv[1]}`).href) {
  const lock = JSON.parse(await readFile(file, 'utf8'));
  const missing = missingFrom(lock);
  for (const wanted of missing) lock.packages[`node_modules/${wanted.name}`] = entryFor(wanted);
  let without = 0;
  for (const [place, entry] of Object.entries(lock.packages)) {
    if (place === '' || entry.link || entry.integrity !== undefined) continue;
    const { version, ...rest } = entry;
    const integrity = await checksumOf(place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length), version);
    if (integrity === undefined) without += 1;
    else lock.packages[place] = { version, integrity, ...rest };
  }
  const names = Object.keys(lock.packages).sort((one, other) => one.localeCompare(other, 'en'));
  lock.packages = Object.fromEntries(names.map((name) => [name, lock.packages[name]]));
  await writeFile(file, `${JSON.stringify(lock, null, 2)}\n`);
  console.log(`${missing.length} packages for other platforms added to package-lock.json; ${without} packages are without a checksum.`);
}
