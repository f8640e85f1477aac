/** So many are kept; beyond that it begins anew, and what comes later is shared among itself. */
const sharedMax = 50_000;
const shared = new Map<string, unknown>();

/**
 * The same for all values that are equal as JSON: the pods of a workload carry the same labels and ask for the same, so that a hundred
 * thousand of them take less memory, and what is found out for one is known for the others.
 */
export function sharedValue<Value extends object>(value: Value): Value {
  const key = JSON.stringify(value);
  const known = shared.get(key) as Value | undefined;
  if (known) return known;
  if (shared.size >= sharedMax) shared.clear();
  shared.set(key, value);
  return value;
}
