/** The tag of an image, without a digest; undefined where it has none. */
export function imageTag(image: string): string | undefined {
  return /:([\w][\w.-]*)(?:@.*)?$/.exec(image)?.[1];
}

/** Compares versions such as `v1.18.3-eksbuild.2` by their numbers, one after another. */
export function compareNumbers(one: string, other: string): number {
  const [left, right] = [numbersOf(one), numbersOf(other)];
  for (let place = 0; place < Math.max(left.length, right.length); place += 1) {
    const difference = (left[place] ?? 0) - (right[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(version: string): number[] {
  return (version.match(/\d+/g) ?? []).map(Number);
}
