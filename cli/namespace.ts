import { connectTemporal, temporalSettings } from '../client/connection.ts';
import { registerSearchAttributes } from '../lab/search-attributes.ts';
import { searchAttributes } from '../workflows/messages.ts';

/**
 * Makes a Temporal namespace ready for runs: the search attributes by which they are listed. Does nothing where they are there.
 * Throws `temporal-unreachable`, `namespace-unknown`, and an Error with the command to run where we may not add them.
 */
export async function prepareNamespace(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const settings = temporalSettings(env);
  const client = await connectTemporal(settings);
  try {
    await registerSearchAttributes(client.connection, settings.namespace, Object.values(searchAttributes));
  } finally {
    await client.connection.close();
  }
}
