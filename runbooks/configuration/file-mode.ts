const writeByOthers = 0o002;

/**
 * Why a holdpoint.yaml of that mode is not believed, with what to do; undefined where it is. Whoever may write to it says who may sign,
 * and which signatures a record needs.
 */
export function writableByAll(file: string, mode: number): string | undefined {
  if ((mode & writeByOthers) === 0) return undefined;
  return `everybody may write to it (mode ${(mode & 0o777).toString(8)}). Close it with: chmod o-w ${file}`;
}
