/**
 * Amounts of what a node has and pods ask for, by the name of the resource: `cpu` in millicores, `memory` in bytes, `pods` in pods,
 * everything else (`ephemeral-storage`, `nvidia.com/gpu`) in its own unit.
 */
export type Resources = Readonly<Record<string, number>>;

/** A list of resources as the API writes it, e.g. `{ cpu: '250m', memory: '1Gi' }`. */
export type Quantities = Readonly<Record<string, string>>;

/** What a pod's spec says of its needs (core/v1 PodSpec). */
export interface PodNeeds {
  containers: readonly ContainerNeeds[];
  initContainers?: readonly ContainerNeeds[];
  /** What the pod asks for as a whole, in place of what its containers ask for. */
  resources?: { requests?: Quantities };
  /** What its runtime class takes besides. */
  overhead?: Quantities;
}

/** What a container of a pod needs. */
export interface ContainerNeeds {
  resources?: { requests?: Quantities };
  /** `Always` on an init container makes it a sidecar, which goes on beside the others. */
  restartPolicy?: string;
}

const decimalExponents: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const binaryExponents: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };
/** The API server takes no quantity beyond 2⁶³; what is written with a larger exponent is not computed but cut off. */
const exponentMax = 40;
const milliExponent = 3;
const quantityPattern = /^([+-]?)(\d*)\.?(\d*)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?|[eE][+-]?\d+)$/;

/**
 * Reads a Kubernetes quantity, rounded up to whole units as the scheduler does: `1Gi` gives 1073741824, `1e3` gives 1000.
 * Throws a RangeError for texts that are none (apimachinery, pkg/api/resource).
 */
export function parseQuantity(text: string): number {
  return parseScaled(text, 0);
}

/** Reads a Kubernetes quantity in thousandths, rounded up: `250m` gives 250, `0.5` gives 500. Throws a RangeError like parseQuantity. */
export function parseMilliQuantity(text: string): number {
  return parseScaled(text, milliExponent);
}

function parseScaled(text: string, scale: number): number {
  const [matched, sign, whole = '', fraction = '', suffix = ''] = quantityPattern.exec(text) ?? [];
  if (matched === undefined || whole + fraction === '') throw new RangeError(`"${text}" is no quantity`);
  const exponent = decimalExponentOf(suffix) - fraction.length + scale;
  const binaryExponent = binaryExponents[suffix] ?? 0;
  // Most are small and whole, and there are a hundred thousand of them in a large cluster.
  const amountOfMost = Number(whole) * 2 ** binaryExponent * 10 ** exponent;
  if (fraction === '' && sign === '' && exponent >= 0 && Number.isSafeInteger(amountOfMost)) return amountOfMost;
  const digits = BigInt(whole + fraction) << BigInt(binaryExponent);
  const amount = Number(digits === 0n ? 0n : timesPowerOfTen(digits, exponent));
  return sign === '-' ? -amount : amount;
}

function decimalExponentOf(suffix: string): number {
  if (suffix in binaryExponents) return 0;
  const named = decimalExponents[suffix];
  return named ?? Math.max(-exponentMax, Math.min(exponentMax, Number(suffix.slice(1))));
}

/** Rounded up: nothing that is asked for may count as nothing. */
function timesPowerOfTen(digits: bigint, exponent: number): bigint {
  if (exponent >= 0) return digits * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  return (digits + divisor - 1n) / divisor;
}

/** Reads a list of resources. Throws a RangeError for a quantity that is none. */
export function parseResources(quantities: Quantities = {}): Resources {
  return Object.fromEntries(
    Object.entries(quantities).map(([name, text]) => [name, name === 'cpu' ? parseMilliQuantity(text) : parseQuantity(text)]),
  );
}

/**
 * What the scheduler counts for a pod: the sum of its containers and sidecars or, where that is more, the most that it needs
 * while it starts (each init container together with the sidecars before it); in their place what the pod asks for as a whole;
 * the overhead of its runtime class; and one pod. After component-helpers, resource.PodRequests.
 */
export function podRequests({ containers, initContainers = [], resources, overhead }: PodNeeds): Resources {
  let running = addResources(containers.map(requestsOf));
  let sidecars: Resources = {};
  let starting: Resources = {};
  for (const container of initContainers) {
    const asked = requestsOf(container);
    if (container.restartPolicy === 'Always') {
      running = addResources([running, asked]);
      sidecars = addResources([sidecars, asked]);
      starting = mostOf(starting, sidecars);
    } else {
      starting = mostOf(starting, addResources([sidecars, asked]));
    }
  }
  const asked = { ...mostOf(running, starting), ...parseResources(resources?.requests) };
  return { ...addResources([asked, parseResources(overhead)]), pods: 1 };
}

function requestsOf({ resources }: ContainerNeeds): Resources {
  return parseResources(resources?.requests);
}

/** The sum of some lists of resources. */
export function addResources(lists: readonly Resources[]): Resources {
  const sum: Record<string, number> = {};
  for (const list of lists) for (const [name, amount] of Object.entries(list)) sum[name] = (sum[name] ?? 0) + amount;
  return sum;
}

function mostOf(a: Resources, b: Resources): Resources {
  const most: Record<string, number> = { ...a };
  for (const [name, amount] of Object.entries(b)) most[name] = Math.max(most[name] ?? 0, amount);
  return most;
}

const memoryNames = ['memory', 'ephemeral-storage'];
const memoryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** An amount of a resource as people write it: `1.5 cpu`, `2 GiB memory`, `3 pod slots`, `1 nvidia.com/gpu`. */
export function amountText(name: string, amount: number): string {
  if (name === 'cpu') return `${Number((amount / 1000).toFixed(3))} cpu`;
  if (name === 'pods') return `${amount} pod ${amount === 1 ? 'slot' : 'slots'}`;
  if (!memoryNames.includes(name)) return `${amount} ${name}`;
  const power = Math.min(memoryUnits.length - 1, Math.floor(Math.log2(Math.max(1, amount)) / 10));
  return `${Number((amount / 2 ** (10 * power)).toFixed(1))} ${memoryUnits[power] ?? ''} ${name}`;
}
