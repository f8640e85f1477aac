import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { keysOf, textOfKey } from '../../domain/approval/keys.ts';
import { identityOfCaller } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { inbox, me } from '../schema/answers.ts';
import { endsOf } from '../sessions.ts';

/** Who asks, and what waits for them. */
export function peopleRoutes({ holdpoint, readConfiguration }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/me',
      { config: { access: 'signed-in' }, schema: { summary: 'Who asks, and what they may do', response: { 200: me } } },
      async (request) => {
        const { kind, person, name, roles, session } = identityOfCaller(request);
        const { people } = await readConfiguration();
        const own = person === undefined ? undefined : people[person];
        const ends = session && endsOf(session);
        return {
          person: person ?? null,
          name,
          kind,
          roles: [...roles],
          session: ends ? { endsAt: new Date(ends.endsMs).toISOString(), idleEndsAt: new Date(ends.idleEndsMs).toISOString() } : null,
          keys: own ? keysOf(own).map((key) => ({ type: key.type, key: textOfKey(key) ?? key.key })) : [],
        };
      },
    );
    app.get(
      '/inbox',
      { config: { access: 'signed-in' }, schema: { summary: 'What waits for a signature of whoever asks', response: { 200: inbox } } },
      async (request) => {
        const { person } = identityOfCaller(request);
        const command = person === undefined ? 'holdpoint inbox' : `holdpoint inbox --as ${person}`;
        if (person === undefined) return { items: [], unread: [], more: false, command };
        return { ...(await holdpoint.inbox(person)), command };
      },
    );
  };
}
