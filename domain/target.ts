/** What a run maintains. Actions reach this target only, whatever their input says. */
export interface Target {
  /** Such as `eks` or `kubernetes`: says which systems serve it, and what the other parts mean. */
  kind: string;
  /** Empty where targets of the kind have none. */
  region: string;
  name: string;
}

/** One part of a target behind its kind. */
export interface TargetPart {
  /** What the part is called: `region`, `cluster`. */
  title: string;
  pattern: RegExp;
  /** Says of a text that does not fit the pattern what it is not: `is no AWS region such as eu-central-1`. */
  refusal: string;
  example: string;
}

/** A kind of target. */
export interface TargetKind {
  kind: string;
  /** Left out where targets of the kind have no region. */
  region?: TargetPart;
  name: TargetPart;
  /** The section of holdpoint.yaml that says how each target of the kind is reached; left out where its name is enough. */
  configuredIn?: 'clusters' | 'etcd';
}

/** Why a text names no target that can be maintained. */
export class TargetError extends Error {
  override readonly name = 'TargetError';
}

/** Reads a target of one of the kinds, such as `eks/<region>/<cluster>`. Throws a TargetError that says which part is wrong. */
export function readTarget(text: string, kinds: readonly TargetKind[]): Target {
  const [kindName, ...values] = text.split('/');
  const kind = kinds.find((candidate) => candidate.kind === kindName);
  const parts = kind && partsOf(kind);
  if (!kind || parts?.length !== values.length) {
    const possible = kind ? [kind] : kinds;
    const examples = possible.map(exampleOf).join(' or ');
    throw new TargetError(`Target "${text}" must have the form ${possible.map(formOf).join(' or ')}, for example ${examples}.`);
  }
  for (const [index, { title, pattern, refusal }] of parts.entries()) {
    const value = values[index] ?? '';
    if (!pattern.test(value)) throw new TargetError(`Target "${text}" names the ${title} "${value}", which ${refusal}.`);
  }
  const name = values.at(-1) ?? '';
  return { kind: kind.kind, region: kind.region ? (values[0] ?? '') : '', name };
}

/** The text of a target, as it is used in ids and in plans. */
export function formatTarget({ kind, region, name }: Target): string {
  return region === '' ? `${kind}/${name}` : `${kind}/${region}/${name}`;
}

/** The parts of a target behind its kind, in their order. */
export function partsOf({ region, name }: TargetKind): TargetPart[] {
  return region ? [region, name] : [name];
}

/** How targets of a kind are written: `eks/<region>/<cluster>`. */
export function formOf(kind: TargetKind): string {
  return [kind.kind, ...partsOf(kind).map(({ title }) => `<${title}>`)].join('/');
}

/** A target of a kind, for messages: `eks/eu-central-1/demo`. */
export function exampleOf(kind: TargetKind): string {
  return [kind.kind, ...partsOf(kind).map(({ example }) => example)].join('/');
}
