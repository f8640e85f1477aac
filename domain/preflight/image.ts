/** The tag of an image, without a digest; undefined where it has none. */
export function imageTag(image: string): string | undefined {
  return /:([\w][\w.-]*)(?:@.*)?$/.exec(image)?.[1];
}
