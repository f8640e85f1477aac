import type { FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { StatementAtHold } from '../../client/holdpoint.ts';
import { RefusedError } from '../../client/remote-error.ts';
import { HoldpointError, ToldError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { standingOf } from '../../domain/approval/request.ts';
import { readStatement, type Statement, type StatementKind, type StatementOf } from '../../domain/approval/statement.ts';
import type { DecisionAnswer } from '../../workflows/messages.ts';
import { identityOfCaller } from '../access.ts';
import type { ApiClient, ApiContext } from '../context.ts';
import { malformed } from '../problem.ts';
import { commandAnswer, decisionAnswer, startAnswer } from '../schema/answers.ts';
import { commandBody, runParams, signedBody, startBody } from '../schema/requests.ts';
import { checkedInputs, loadRunbook } from './runbooks.ts';

const kindsAtHold = ['decision', 'deferred-approval', 'delegated-approval', 'break-glass', 'withdrawal'] as const;

/** What people have signed and send: starts, decisions, commands. A worker decides whether it counts. */
export function wordRoutes(context: ApiContext): FastifyPluginAsyncZod {
  const { holdpoint, readConfiguration } = context;
  return async (app) => {
    app.post(
      '/runs',
      { config: { access: 'operator' }, schema: { summary: 'Starts a run', body: startBody, response: { 200: startAnswer } } },
      async (request) => {
        const { runbook, inputs, statement: said, signature } = request.body;
        const statement = statementIn(said, ['start']);
        const { document, compiled } = loadRunbook(runbook, await readConfiguration());
        if (statement.runbook !== compiled.digest) throw malformed('its statement is of another version of the runbook');
        const given = checkedInputs(document, compiled, inputs as JsonObject);
        return sending(context, request, statement, async () => {
          const forecast = { inputs: given, runbook: { name: compiled.name, title: compiled.title, digest: compiled.digest } };
          const admission = await holdpoint.submitStart(statement, signature, { document, forecast });
          return { run: statement.run, target: statement.target, admission };
        });
      },
    );
    app.post(
      '/runs/:run/decisions',
      {
        // The right to decide is given by policies alone.
        config: { access: 'signed-in' },
        schema: { summary: 'Says something at a hold', params: runParams, body: signedBody, response: { 200: decisionAnswer } },
      },
      async (request) => {
        const { statement: said, signature, delegation } = request.body;
        const statement = statementIn<StatementAtHold['kind']>(said, kindsAtHold) as StatementAtHold;
        const { run } = request.params;
        return sending(context, request, statement, async () => {
          try {
            return await holdpoint.submit(run, statement, signature, delegation);
          } catch (error) {
            // A repeat of what was taken before is no second attempt.
            const taken = error instanceof ToldError ? await takenBefore(holdpoint, run, signature) : undefined;
            if (!taken) throw error;
            return taken;
          }
        });
      },
    );
    app.post(
      '/runs/:run/verbs',
      {
        config: { access: 'operator' },
        schema: { summary: 'Tells a run what to do', params: runParams, body: commandBody, response: { 200: commandAnswer } },
      },
      async (request) => {
        const statement = statementIn(request.body.statement, ['command']);
        return sending(context, request, statement, () => holdpoint.submit(request.params.run, statement, request.body.signature));
      },
    );
  };
}

/**
 * Sends what somebody has signed: within their limits, in their own name, to the run that the address names. Whoever watches the run
 * sees at once what has come of it.
 */
async function sending<Answer>(
  { limits, liveRuns }: ApiContext,
  request: FastifyRequest,
  statement: Statement & { run: string },
  send: () => Promise<Answer>,
): Promise<Answer> {
  const { person, name } = identityOfCaller(request);
  const { run = statement.run } = request.params as { run?: string };
  limits.countWrite(person ?? name);
  limits.requireFewRefusals(person ?? name, run);
  try {
    // Whose session it is and whose statement must be one: else one of the two would be let in on the other's account.
    if (statement.person !== person) throw new HoldpointError('person-differs', { session: person ?? name, signer: statement.person });
    if (statement.run !== run) throw malformed(`its statement is for the run ${statement.run}, and its address for ${run}`);
    return await send();
  } catch (error) {
    if (error instanceof RefusedError || (error instanceof HoldpointError && error.code === 'person-differs')) {
      limits.countRefusal(person ?? name, run);
    }
    throw error;
  } finally {
    liveRuns.look(run);
  }
}

const takenKinds = ['decision.accepted', 'decision.deferred', 'decision.delegated', 'decision.withdrawn'];

/**
 * What has become of a hold at which the very same word was taken, when the run has gone on since and Temporal does not know the word
 * again; undefined where it was not taken. Somebody who has lost an answer asks for that.
 */
async function takenBefore(holdpoint: ApiClient, run: string, signature: string): Promise<DecisionAnswer | undefined> {
  const { entries } = await holdpoint.log(run).catch(() => ({ entries: [] }));
  const place = entries.findIndex(({ kind, body }) => takenKinds.includes(kind) && body.jws === signature);
  if (place < 0) return undefined;
  const hold = entries[place]?.body.hold;
  const end = entries.slice(place).find(({ kind, body }) => body.hold === hold && ['hold.released', 'hold.rejected'].includes(kind));
  if (end) return { state: end.kind === 'hold.released' ? 'approved' : 'rejected', missing: 0 };
  const { hold: now } = (await holdpoint.show(run)).state;
  const standing = now && standingOf(now.request, now.decisions, Date.now());
  return { state: standing?.state ?? 'approved', missing: standing?.state === 'waiting' ? standing.missing : 0 };
}

/** A statement of one of these kinds. Throws `request-malformed` with the names of the claims that do not fit. */
function statementIn<Kind extends StatementKind>(said: unknown, kinds: readonly Kind[]): StatementOf<Kind> {
  const read = readStatement(said);
  if ('wrong' in read) throw malformed(`the claims of its statement do not fit: ${read.wrong.join(', ')}`);
  if (!(kinds as readonly string[]).includes(read.statement.kind)) {
    throw malformed(`its statement is a ${read.statement.kind}, and here goes: ${kinds.join(', ')}`);
  }
  return read.statement as unknown as StatementOf<Kind>;
}
