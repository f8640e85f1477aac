import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
/** Databases refuse to run as root; one of these runs them then. */
const otherUsers = ['postgres', 'nobody'];

/** A user of this machine, by numbers. */
export interface SystemUser {
  uid: number;
  gid: number;
}

/** Who runs databases where we are root; undefined where we are not. Throws an Error where there is nobody. */
export async function otherUser(): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of otherUsers) {
    const found = await runFile('id', ['-u', name]).catch(() => undefined);
    const group = await runFile('id', ['-g', name]).catch(() => undefined);
    if (found && group) return { uid: Number(found.stdout), gid: Number(group.stdout) };
  }
  throw new Error(`Databases refuse to run as root, and there is no user ${otherUsers.join(' or ')}.`);
}

/** A command line that runs another one as that user. */
export function asUser(user: SystemUser | undefined, line: string[]): string[] {
  if (!user) return line;
  return ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...line];
}
