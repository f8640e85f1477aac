import type { System } from '../system.ts';
import { createLamps } from './lamps.ts';
import { switchAction } from './switch.ts';

/** Lamps. Whoever switches one leaves the id of the run at it, until the run is over. */
export function lampSystem(): System {
  const lamps = createLamps(process.env.LAMPS_DIRECTORY ?? '/var/lib/lamps');
  return {
    name: 'lamp',
    actions: [switchAction(lamps)],
    annotations: {
      kinds: ['lamp'],
      find: async ({ name }) => {
        const { run } = await lamps.read(name);
        return run === undefined ? [] : [{ node: name, run }];
      },
      release: async ({ name }, run) => ((await lamps.unmark(name, run)) ? [name] : []),
      lift: ({ name }, { run }) => lamps.unmark(name, run),
    },
  };
}
