import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { temporal } from '@temporalio/proto';
import type { Json } from '../../domain/json.ts';

/** Where the histories are kept that every version of the workflow code must be able to replay. */
export const historiesDirectory = fileURLToPath(new URL('../replay/histories', import.meta.url));

/** Set by `npm run record-histories`: tests that replay a history under a name write it down as well. */
export const isRecording = process.env.HOLDPOINT_RECORD_HISTORIES === '1';

/** Writes a history down, without what it says of the machine on which it was made. */
export async function recordHistory(name: string, history: temporal.api.history.v1.IHistory, directory: string): Promise<void> {
  const replaced: [string, string][] = [
    [directory, '/var/lib/holdpoint'],
    [process.cwd(), '.'],
    [hostname(), 'recorder'],
    [`${process.pid}@`, '1@'],
  ];
  const text = (value: string): string => replaced.reduce((result, [from, to]) => result.replaceAll(from, to), value);
  const clean = (value: Json, key = ''): Json => {
    if (Array.isArray(value)) return value.map((element) => clean(element));
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, clean(inner, name)]));
    }
    if (typeof value !== 'string') return value;
    // Payloads are base64; what they hold is text, too.
    if (key === 'data') return Buffer.from(text(Buffer.from(value, 'base64').toString('utf8'))).toString('base64');
    return text(value);
  };
  const json = clean(JSON.parse(historyToJSON(history)) as Json);
  await writeFile(join(historiesDirectory, `${name}.json`), `${JSON.stringify(json)}\n`);
}
