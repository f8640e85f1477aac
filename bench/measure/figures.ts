/** Of a sample of times: how long half of them took at most, and all but one in a hundred. */
export interface Times {
  msP50: number;
  msP99: number;
}

/** Percentiles by nearest rank, in milliseconds with one decimal; NaN where there is no sample. */
export function timesOf(samplesMs: readonly number[]): Times {
  return { msP50: rounded(percentile(samplesMs, 50)), msP99: rounded(percentile(samplesMs, 99)) };
}

/** The smallest sample that at least so many percent of all samples do not exceed; NaN where there is none. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = [...samples].sort((one, other) => one - other);
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] ?? NaN;
}

/** A number as it is reported: one decimal says all that such a measurement can tell. */
export function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
