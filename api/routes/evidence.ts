import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { readEvidence, type ReadRecord } from '../../client/evidence.ts';
import { recordOf } from '../../client/receipt.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { identityOfCaller } from '../access.ts';
import type { ApiContext } from '../context.ts';
import type { Identity } from '../identity.ts';
import { evidence } from '../schema/answers.ts';
import { runParams } from '../schema/requests.ts';

/** The record of a run, verified: for auditors, and for the people of the run. */
export function evidenceRoutes({ readConfiguration, configurationFile }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/runs/:run/evidence',
      {
        config: { access: 'signed-in' },
        schema: { summary: 'The record of a run, verified', params: runParams, response: { 200: evidence } },
      },
      async (request) => {
        const { run } = request.params;
        const configuration = await readConfiguration();
        const { record, region } = recordOf(run, configurationFile, configuration);
        const found = await readEvidence(record, configuration.people, { authority: configuration, region }).catch((error: unknown) => {
          // Whoever may not read it is not even told that it cannot be read.
          if (identityOfCaller(request).roles.has('auditor') && (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
          return undefined;
        });
        // What one may not read is told like what is not there.
        if (!found?.inHand || !mayRead(identityOfCaller(request), found)) throw new HoldpointError('record-unknown', { run });
        const { path: _path, ...verdict } = found.report;
        const entries = found.entries.map(({ entry }) => JSON.parse(JSON.stringify(entry)) as Record<string, never>);
        return { report: { ...verdict }, entries, text: found.inHand.text, command: `holdpoint evidence verify ${run}.jsonl` };
      },
    );
  };
}

function mayRead({ person, roles }: Identity, { entries }: ReadRecord): boolean {
  if (roles.has('auditor')) return true;
  if (person === undefined) return false;
  return entries.some(({ entry: { body, kind } }) => {
    const { person: of, requester, members } = body;
    const isAsked = kind === 'hold.requested' && Array.isArray(members) && members.includes(person);
    return isAsked || of === person || requester === person;
  });
}
