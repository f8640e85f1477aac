import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { heldRun, hostile, plan, request, run } from './fake-client.ts';
import { origin, startServer, type ServerInTest } from './server.ts';

let server: ServerInTest;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.app.close());

const get = (path: string, cookie: string) =>
  server.app.inject({ method: 'GET', url: `/api/v1${path}`, headers: { cookie, host: new URL(origin).host } });

test('a run is told as it is, without the plan of its hold, which is told by its hash', async () => {
  const cookie = server.cookieOf('ada');
  const { hold, ...state } = heldRun().state;
  const { plan: _plan, ...rest } = hold!;
  const answer = await get(`/runs/${run}`, cookie);
  expect(answer.json()).toEqual({ state: { ...state, hold: rest }, progress: {}, retrying: [] });
  expect((await get(`/plans/${plan.hash}?run=${run}`, cookie)).json()).toEqual(plan);
});

test('the page of a hold has all that an approver must see, and what they may do', async () => {
  const page = (await get(`/runs/${run}/holds/sign/2`, server.cookieOf('ada'))).json<Record<string, unknown>>();
  expect(page).toMatchObject({
    status: 'waiting',
    request,
    plan,
    asks: '1 of sre, not the requester',
    nextHold: null,
    you: { person: 'ada', mayApprove: true, mayReject: true, mayBreakGlass: false },
    summary: { standing: { state: 'waiting', missing: 1, maySign: ['ada', 'grace'] } },
    commands: { approve: `holdpoint approve ${run} --plan ${plan.hash.slice(0, 39)}` },
  });
  const dana = (await get(`/runs/${run}/holds/sign/2`, server.cookieOf('dana'))).json<Record<string, unknown>>();
  expect(dana.you).toMatchObject({ mayApprove: false, whyNotApprove: { code: 'requester-excluded' } });
});

test('hostile names come as they are, as JSON that no browser takes for a page', async () => {
  const answer = await get(`/runs/${run}/holds/sign/2`, server.cookieOf('ada'));
  expect(answer.json<{ request: { question: string } }>().request.question).toBe(`Drain ${hostile}?`);
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
  expect(answer.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
});

test('the description of the API is OpenAPI 3.1 and names every route of it', async () => {
  const document = (await get('/openapi.json', server.cookieOf('ada'))).json<{ openapi: string; paths: Record<string, unknown> }>();
  expect(document.openapi).toBe('3.1.0');
  expect(Object.keys(document.paths)).toEqual(expect.arrayContaining(['/api/v1/runs/{run}/decisions', '/api/v1/inbox']));
});
