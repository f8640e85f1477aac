import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import { base64Of } from '../base64.ts';
import { typeNameOf, type ServedType } from './export.ts';

/** A resource of a group and version, as discovery names it (APIResource of meta/v1). */
export interface DiscoveredResource {
  name: string;
  kind: string;
  namespaced: boolean;
  verbs: readonly string[];
  storageVersionHash?: string;
}

/** A group in one of its versions, with all that it serves. */
export interface DiscoveredVersion {
  group: string;
  version: string;
  resources: readonly DiscoveredResource[];
}

/** Digits of the hash that the API server gives (k8s.io/apiserver, pkg/endpoints/discovery/storageversionhash.go). */
const storageHashBytes = 8;
/** Served twice by every API server; the hash says so as well, where it is given. */
const twins: Readonly<Record<string, string>> = { 'events.events.k8s.io': 'events', 'ingresses.extensions': 'ingresses.networking.k8s.io' };

/**
 * All types that can be listed, each once: in the first version of its group that serves it (so put the preferred one first), and in one
 * group only where two serve the same objects. Which ones those are, the hash of their storage version tells: objects that are kept under
 * the same group, version and kind are the same; the type whose own version that is, is taken.
 */
export function chooseTypes(discovered: readonly DiscoveredVersion[]): ServedType[] {
  const chosen = new Map<string, { type: ServedType; hash: string }>();
  for (const { group, version, resources } of discovered) {
    for (const { name, kind, namespaced, verbs, storageVersionHash = '' } of resources) {
      const type = { group, version, resource: name, kind, namespaced };
      if (name.includes('/') || !verbs.includes('list') || chosen.has(typeNameOf(type))) continue;
      chosen.set(typeNameOf(type), { type, hash: storageVersionHash });
    }
  }
  const all = [...chosen.values()];
  const isTwin = ({ type, hash }: (typeof all)[number]): boolean => {
    if (chosen.has(twins[typeNameOf(type)] ?? '')) return true;
    if (hash === '' || isStoredAs(type, hash)) return false;
    return all.some((other) => {
      const isAnother = other.type.group !== type.group && other.type.resource === type.resource;
      return isAnother && other.hash === hash && isStoredAs(other.type, hash);
    });
  };
  return all.filter((one) => !isTwin(one)).map(({ type }) => type);
}

function isStoredAs({ group, version, kind }: ServedType, hash: string): boolean {
  const digest = sha256(utf8ToBytes(`${group}/${version}/${kind}`));
  return base64Of(digest.subarray(0, storageHashBytes)) === hash;
}
