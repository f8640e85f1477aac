import { follow, type Door } from './raw.ts';
import type { PodSeen } from './world.ts';

/** What somebody who only looks has seen go from some nodes. */
export interface EvictionsSeen {
  /** How many pods have been asked to go so far; each counts once, as its deletion timestamp is set once, whoever asks again. */
  granted(): number;
  stop(): void;
}

/** Begins to count them. */
export async function followEvictions(door: Door, namespace: string, nodes: readonly string[]): Promise<EvictionsSeen> {
  const going = new Set<string>();
  const stream = await follow(door, `/api/v1/namespaces/${namespace}/pods`, ({ object }) => {
    const { metadata, spec } = object as unknown as PodSeen;
    if (metadata.deletionTimestamp !== undefined && nodes.includes(spec.nodeName ?? '')) going.add(metadata.uid);
  });
  return { granted: () => going.size, stop: () => stream.stop() };
}
