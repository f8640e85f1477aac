import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ControlPlane } from '../../lab/kubernetes.ts';

/** A certificate for 127.0.0.1 with those who vouch for it, and its key, in PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

/** The one that the API server has made for itself: whoever trusts the server trusts what else we serve on this machine. */
export async function certificateOf({ directory }: ControlPlane): Promise<Certificate> {
  const file = (name: string): Promise<string> => readFile(join(directory, 'certificates', name), 'utf8');
  return { cert: await file('apiserver.crt'), key: await file('apiserver.key') };
}
