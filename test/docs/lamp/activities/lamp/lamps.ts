import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldpointError } from '../../domain/errors.ts';

/** A lamp as it is. */
export interface Lamp {
  on: boolean;
  /** The run that has switched it. */
  run?: string;
}

/** The API of lamps: a file for each of them. */
export interface Lamps {
  /** Throws `node-unknown`. */
  read(name: string): Promise<Lamp>;
  write(name: string, lamp: Lamp): Promise<void>;
  /** Takes the owner annotation of a run away; returns whether it was there. */
  unmark(name: string, run: string): Promise<boolean>;
}

/** Errors are mapped here, once: what is thrown says what happened, to which lamp, and whether it may pass by itself. */
export function createLamps(directory: string): Lamps {
  const fileOf = (name: string): string => join(directory, `${name}.json`);
  const read: Lamps['read'] = async (name) => {
    try {
      return JSON.parse(await readFile(fileOf(name), 'utf8')) as Lamp;
    } catch (error) {
      throw new HoldpointError('node-unknown', { cluster: 'lamps', node: name }, { cause: error });
    }
  };
  const write: Lamps['write'] = async (name, lamp) => {
    await writeFile(`${fileOf(name)}.new`, JSON.stringify(lamp));
    await rename(`${fileOf(name)}.new`, fileOf(name));
  };
  const unmark: Lamps['unmark'] = async (name, run) => {
    const lamp = await read(name);
    if (lamp.run !== run) return false;
    await write(name, { on: lamp.on });
    return true;
  };
  return { read, write, unmark };
}
