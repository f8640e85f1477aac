const suffixes: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** Reads a resource quantity: `250m` gives 0.25, `1Gi` 1073741824; what cannot be read counts as nothing. */
export function parseQuantity(text: string | number | undefined): number {
  const parsed = /^([0-9.]+)([A-Za-z]*)$/.exec(String(text ?? '0'));
  return parsed ? Number(parsed[1]) * (suffixes[parsed[2] ?? ''] ?? 0) : 0;
}

/** What a percentage or a number comes to: percentages are taken of `total` and rounded as told. Throws a RangeError for other texts. */
export function scaledValue(value: number | string, total: number, rounding: 'up' | 'down'): number {
  if (typeof value === 'number') return value;
  const percent = /^([0-9]+)%$/.exec(value);
  if (!percent) throw new RangeError(`invalid value for IntOrString: "${value}" is neither a number nor a percentage`);
  const exact = (Number(percent[1]) * total) / 100;
  return rounding === 'up' ? Math.ceil(exact) : Math.floor(exact);
}
