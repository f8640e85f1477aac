/** The whole number of an option, between the least and the most that make sense. Throws RangeError with a sentence. */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`--${option} must be a whole number from ${least} to ${most}, not "${text}"`);
}
