import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { RunFilter } from '../../client/holdpoint.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { parseJson, isObject } from '../../domain/json.ts';
import { digestOf } from '../../domain/plan/plan.ts';
import { identityOfCaller } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { holdPageOf, pastRequest, planOf, waitingRequest } from '../hold-page.ts';
import { malformed } from '../problem.ts';
import { holdPage, runs } from '../schema/answers.ts';
import { spanPlan } from '../schema/plan.ts';
import { holdParams, pageRunsMax, planParams, planQuery, runParams, runsQuery, type RunsQuery } from '../schema/requests.ts';
import { liveRun } from '../schema/run.ts';
import { withoutPlan } from '../without-plan.ts';

/** What is read of runs, plans and holds. */
export function runRoutes({ holdpoint, nowMs }: ApiContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.get(
      '/runs',
      { config: { access: 'viewer' }, schema: { summary: 'Runs, the newest first', querystring: runsQuery, response: { 200: runs } } },
      async ({ query }) => {
        const filter = filterOf(query);
        const from = query.cursor === undefined ? undefined : pageAt(query.cursor, filter);
        const page = await holdpoint.page(filter, Number(query.limit ?? pageRunsMax), from);
        return { runs: page.runs, next: page.next ? cursorOf(page.next, filter) : null, command: commandOf(filter) };
      },
    );
    app.get(
      '/runs/:run',
      { config: { access: 'viewer' }, schema: { summary: 'A run as it stands', params: runParams, response: { 200: liveRun } } },
      async ({ params }) => withoutPlan(await holdpoint.show(params.run)),
    );
    app.get(
      '/runs/:run/holds/:hold/:opening',
      {
        config: { access: 'viewer' },
        schema: { summary: 'One request for signatures, whole', params: holdParams, response: { 200: holdPage } },
      },
      async (request) => {
        const { run, hold, opening } = request.params;
        const number = Number(opening);
        const { state } = await holdpoint.show(run);
        const found = waitingRequest(state, hold, number, nowMs()) ?? pastRequest((await holdpoint.log(run)).entries, hold, number);
        if (!found) throw new HoldpointError('opening-not-found', { run, hold, number });
        return holdPageOf(state, found, identityOfCaller(request).person, nowMs());
      },
    );
    app.get(
      '/plans/:hash',
      {
        config: { access: 'viewer' },
        schema: {
          summary: 'A plan by its hash; it never changes',
          params: planParams,
          querystring: planQuery,
          response: { 200: spanPlan },
        },
      },
      async ({ params: { hash }, query: { run } }) => {
        const { hold } = (await holdpoint.show(run)).state;
        if (hold?.plan.hash === hash) return hold.plan;
        const plan = planOf((await holdpoint.log(run)).entries, hash);
        if (!plan) throw new HoldpointError('plan-unknown', { run, hash });
        return plan;
      },
    );
  };
}

function filterOf({ open, phase, target, runbook, requester, since }: RunsQuery): RunFilter {
  const isOfPast = phase !== undefined || since !== undefined;
  return { openOnly: open === undefined ? !isOfPast : open === 'true', phase, target, runbook, requester, since };
}

/** A cursor goes on with the list that it is of, and with no other: Temporal would go on with anything. */
function cursorOf(next: Uint8Array, filter: RunFilter): string {
  return Buffer.from(JSON.stringify({ of: digestOfFilter(filter), at: Buffer.from(next).toString('base64') })).toString('base64url');
}

function pageAt(cursor: string, filter: RunFilter): Uint8Array {
  const said = parseJson(Buffer.from(cursor, 'base64url').toString());
  if (!isObject(said) || said.of !== digestOfFilter(filter) || typeof said.at !== 'string') {
    throw malformed('its cursor is not of this list');
  }
  return Buffer.from(said.at, 'base64');
}

function digestOfFilter(filter: RunFilter): string {
  return digestOf(JSON.parse(JSON.stringify(filter)) as Record<string, string>);
}

function commandOf({ openOnly, phase, target, runbook, requester, since }: RunFilter): string {
  const options = Object.entries({ phase, target, runbook, requester, since }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name} ${value}`],
  );
  return ['holdpoint runs', ...(openOnly || phase !== undefined || since !== undefined ? [] : ['--all']), ...options].join(' ');
}
