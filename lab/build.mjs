// Compiles the shipped folders to dist and puts the runbooks next to their loader.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
rmSync('dist', { recursive: true, force: true });
execFileSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
cpSync('runbooks', 'dist/runbooks', { recursive: true, filter: (path) => statSync(path).isDirectory() || path.endsWith('.yaml') });
chmodSync('dist/cli/main.js', 0o755);
