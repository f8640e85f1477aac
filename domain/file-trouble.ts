const troubles: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is no directory',
  EISDIR: 'it is a directory',
  EACCES: 'you may not read it',
  EPERM: 'you may not read it',
};

/** Why the system would not let us read a file, as a part of a sentence; undefined where the error is of another kind. */
export function fileTrouble(error: unknown): string | undefined {
  return troubles[String((error as { code?: unknown } | null)?.code)];
}
