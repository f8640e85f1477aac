import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const source = fileURLToPath(new URL('../console', import.meta.url));
/** What a page loads before somebody can decide: on a phone, away from the desk. */
const compressedBytesMax = 250 * 1024;

/**
 * Makes the pages of the console in a folder: one script and one style sheet with a digest in their names, and the document that loads
 * them.
 *
 * @returns how many bytes of script and style a browser loads, compressed.
 * @throws Error where they are more than a page may have, and what esbuild says.
 */
export async function buildConsole(directory: string): Promise<number> {
  await mkdir(directory, { recursive: true });
  const { outputFiles } = await build({
    entryPoints: [join(source, 'main.tsx'), join(source, 'style.css')],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    entryNames: '[name]-[hash]',
    outdir: directory,
    write: false,
    logLevel: 'error',
  });
  let document = await readFile(join(source, 'index.html'), 'utf8');
  let compressedBytes = 0;
  for (const { path, contents } of outputFiles) {
    await writeFile(path, contents);
    const [name = '', , extension = ''] = basename(path).split(/[-.]/);
    document = document.replace(`/${name}.${extension}`, `/${basename(path)}`);
    compressedBytes += gzipSync(contents).length;
  }
  await writeFile(join(directory, 'index.html'), document);
  await cp(join(source, 'icon.svg'), join(directory, 'icon.svg'));
  if (compressedBytes > compressedBytesMax) {
    throw new Error(`The console has ${compressedBytes} bytes compressed; at most ${compressedBytesMax} are allowed.`);
  }
  return compressedBytes;
}
