/** The optional packages of a lock file that it has no entry for. */
export function missingFrom(lock: unknown): { name: string; version: string; isDev: boolean }[];
