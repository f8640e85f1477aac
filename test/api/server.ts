import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { AuditLog, type AuditLine } from '../../api/audit.ts';
import type { ApiContext } from '../../api/context.ts';
import { Limits } from '../../api/limits.ts';
import { LiveRuns } from '../../api/live-runs.ts';
import { createServer } from '../../api/server.ts';
import { Sessions } from '../../api/sessions.ts';
import { noSignIn } from '../../api/sign-in.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { fakeClient, type FakeClient } from './fake-client.ts';

export const origin = 'https://holdpoint.example.com';
export const issuer = 'https://idp.example.com';
/** A token of a machine, as whoever made it has it. */
export const machineToken = 'hp_0123456789abcdef0123456789abcdef';

const key = (letter: string): string => Buffer.alloc(32, letter).toString('base64url');

/** People: dana operates, ada and grace sign, and are in no group of the identity provider. */
export const configuration = (): Configuration => ({
  people: Object.fromEntries(
    ['dana', 'ada', 'grace'].map((id) => [id, { name: `The ${id}`, key: key(id.charAt(0)), oidc: { issuer, subject: `sub-${id}` } }]),
  ),
  groups: { sre: ['ada', 'grace', 'dana'] },
  policies: {},
  api: {
    url: origin,
    roles: { viewer: ['staff'], operator: ['platform'], auditor: ['audit'] },
    tokens: { grafana: { hash: createHash('sha256').update(machineToken).digest('hex') } },
  },
});

/** A server over a client that the test answers for, and what it has written down. */
export interface ServerInTest {
  app: FastifyInstance;
  client: FakeClient;
  context: ApiContext;
  audit: AuditLine[];
  errors: unknown[];
  clock: { nowMs: number };
  current: Configuration;
  /** The header Cookie of somebody who has signed in. */
  cookieOf(person: string, groups?: string[]): string;
}

/** Starts one that listens nowhere. */
export async function startServer({
  onRoute,
  ...change
}: Partial<ApiContext> & { onRoute?: (route: string) => void } = {}): Promise<ServerInTest> {
  const client = fakeClient();
  const audit: AuditLine[] = [];
  const errors: unknown[] = [];
  const clock = { nowMs: Date.parse('2026-11-29T12:00:00Z') };
  const nowMs = (): number => clock.nowMs;
  const test = { current: configuration() };
  const context: ApiContext = {
    holdpoint: client,
    readConfiguration: async () => test.current,
    configurationFile: '/nowhere/holdpoint.yaml',
    origin,
    sessions: new Sessions(nowMs),
    signIn: noSignIn,
    limits: new Limits(nowMs),
    liveRuns: new LiveRuns((name) => client.show(name), nowMs),
    audit: new AuditLog(async (line) => void audit.push(JSON.parse(line) as AuditLine), nowMs),
    nowMs,
    isReady: async () => true,
    onError: (error) => void errors.push(error),
    ...change,
  };
  const app = await createServer(context, { version: '0.0.0', onRoute });
  const cookieOf: ServerInTest['cookieOf'] = (person, groups = []) =>
    `__Host-holdpoint=${context.sessions.begin({ issuer, subject: `sub-${person}`, name: person, groups })}`;
  return Object.assign(test, { app, client, context, audit, errors, clock, cookieOf });
}
