import { sizeOf } from './database.ts';

/** An instance class that RDS offers for an engine version, and the zones where it does. */
export interface OfferedClass {
  instanceClass: string;
  zones: readonly string[];
}

/** How many classes a refusal names. */
const namedMax = 12;

/** Whether RDS offers a class in a zone. */
export function isOfferedIn(offered: readonly OfferedClass[], instanceClass: string, zone: string): boolean {
  return offered.some((offer) => offer.instanceClass === instanceClass && offer.zones.includes(zone));
}

/** Why a class cannot be had for an instance, and what there is in its zone: the classes nearest in size first. Pure. */
export function notOffered(
  wanted: { instanceClass: string; zone: string; engine: string; engineVersion: string },
  offered: readonly OfferedClass[],
): { reason: string; remedy: string } {
  const { instanceClass, zone, engine, engineVersion } = wanted;
  const elsewhere = [...new Set(offered.filter((offer) => offer.instanceClass === instanceClass).flatMap(({ zones }) => zones))].sort();
  const where = elsewhere.length > 0 ? `${zone}, only in ${elsewhere.join(', ')}` : zone;
  const size = sizeOf(instanceClass) ?? 0;
  const distance = (name: string): number => Math.abs((sizeOf(name) ?? 0) - size);
  const there = [...new Set(offered.filter(({ zones }) => zones.includes(zone)).map((offer) => offer.instanceClass))];
  there.sort((one, other) => distance(one) - distance(other) || (one < other ? -1 : 1));
  const more = there.length > namedMax ? ` and ${there.length - namedMax} more` : '';
  const list = there.length === 0 ? 'RDS offers none there' : `there are ${there.slice(0, namedMax).join(', ')}${more}`;
  return {
    reason: `RDS does not offer ${instanceClass} for ${engine} ${engineVersion} in ${where}.`,
    remedy: `Choose another class: in ${zone} ${list}.`,
  };
}
