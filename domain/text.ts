/** Names that a person reads of a list. */
const namesShownMax = 5;

/** Which of two texts comes first, for sorting: by code units, the same everywhere. */
export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** A number with its noun: `1 problem`, `2 problems`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Names, as many as a person reads, and how many more there are. */
export function firstNames(names: readonly string[]): string {
  return [...names.slice(0, namesShownMax), ...(names.length > namesShownMax ? [`${names.length - namesShownMax} more`] : [])].join(', ');
}
