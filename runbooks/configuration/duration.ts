const unitMs: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const isoPattern = /^P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?$/;

/** Milliseconds of a duration such as `90s`, `15m`, `4h`, `2d` or ISO 8601 `PT4H30M`; nothing for any other text. */
export function parseDurationMs(text: string): number | undefined {
  const short = /^(\d{1,6})([smhd])$/.exec(text);
  if (short) return Number(short[1]) * unitMs[short[2]!]!;
  const iso = isoPattern.exec(text);
  if (!iso || /^P(T)?$|T$/.test(text)) return undefined;
  const [, days = '0', hours = '0', minutes = '0', seconds = '0'] = iso;
  return Number(days) * unitMs.d! + Number(hours) * unitMs.h! + Number(minutes) * unitMs.m! + Number(seconds) * unitMs.s!;
}
