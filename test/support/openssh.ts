import { spawnSync } from 'node:child_process';
import path from 'node:path';

/** Whether this machine has OpenSSH; where it has not, a loud line says which tests are left out for it. */
export function hasOpenSsh(tests: string): boolean {
  const has = spawnSync('ssh-keygen', ['-l', '-f', '/dev/null']).error === undefined;
  if (!has) process.stderr.write(`\nNOT TESTED: ${tests}, as there is no ssh-keygen on this machine.\n\n`);
  return has;
}

/** Runs a program of OpenSSH and gives what it has printed; throws where it fails. */
export function openSsh(command: string, args: readonly string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}): string {
  const { status, stdout, stderr } = spawnSync(command, args, { env: process.env, input: '', encoding: 'utf8', ...options });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
}

/** Makes an Ed25519 key without a passphrase and gives its file. */
export function makeSshKey(directory: string, name = 'id_ed25519'): string {
  const file = path.join(directory, name);
  openSsh('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', `${name}@laptop`, '-f', file]);
  return file;
}
