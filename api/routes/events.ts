import type { FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { ToldError } from '../../domain/errors.ts';
import { identityOfCaller, requireRole } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { identityOf } from '../identity.ts';
import type { LiveEvent } from '../live-runs.ts';
import { runParams } from '../schema/requests.ts';

/** So often something is sent, so that nothing on the way takes the stream for dead, and the page knows that it is not. */
const signOfLifeMs = 15_000;
/** So often it is looked whether whoever listens still may. */
const checkRightMs = 1_000;
/** Who does not take what is sent is cut off, and comes back with the id of the last event. */
const unsentBytesMax = 4 * 1024 * 1024;

/**
 * A run as it goes on, as server-sent events. `state` has the answer of `GET /runs/{run}`, its id is the digest of that; `fresh` says that
 * nothing has changed until then; `problem` says why nothing is known; `end` that the session is over, after which nothing comes.
 */
export function eventRoutes(context: ApiContext): FastifyPluginAsyncZod {
  const { limits, liveRuns } = context;
  return async (app) => {
    const open = new Set<(reason: string) => void>();
    app.addHook('preClose', async () => {
      for (const end of open) end('server-stopped');
    });
    app.get(
      '/runs/:run/events',
      { config: { access: 'viewer' }, schema: { summary: 'A run as it goes on (server-sent events)', params: runParams } },
      async (request, reply) => {
        const { run } = request.params;
        const { session } = identityOfCaller(request);
        // A browser comes back to a stream that ends, for ever; where there is no run it must be told otherwise.
        if (!liveRuns.isWatched(run)) await context.holdpoint.show(run);
        const giveBack = limits.takeStream(session ?? context);
        reply.hijack();
        const { raw } = reply;
        raw.writeHead(200, {
          ...(reply.getHeaders() as Record<string, string>),
          'content-type': 'text/event-stream; charset=utf-8',
          'x-accel-buffering': 'no',
        });
        const send = (text: string): void => {
          if (raw.writableLength > unsentBytesMax) end('too-slow');
          else raw.write(text);
        };
        const known = request.headers['last-event-id'];
        const unwatch = liveRuns.watch(run, (event) => send(textOf(event, known)));
        const life = setInterval(() => send(lifeSign(liveRuns.seenMs(run), context.nowMs())), signOfLifeMs);
        const right = setInterval(
          () => void mayGoOn(request, context).then((may) => (may ? undefined : end('session-ended'))),
          checkRightMs,
        );
        const end = (reason: string): void => {
          if (!open.delete(end)) return;
          clearInterval(life);
          clearInterval(right);
          unwatch();
          giveBack();
          if (!raw.destroyed) raw.end(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`);
        };
        open.add(end);
        session?.ended.signal.addEventListener('abort', () => end('session-ended'), { once: true });
        raw.on('close', () => end('closed'));
      },
    );
  };
}

function textOf(event: LiveEvent, known: unknown): string {
  if (event.kind === 'problem') return `event: problem\ndata: ${JSON.stringify(event.problem)}\n\n`;
  // Whoever comes back and has it already need not be sent it again.
  if (event.id === known) return freshAt(new Date().toISOString());
  return `event: state\nid: ${event.id}\ndata: ${event.json}\n\n`;
}

function lifeSign(seenMs: number | undefined, nowMs: number): string {
  return seenMs !== undefined && nowMs - seenMs < signOfLifeMs ? freshAt(new Date(seenMs).toISOString()) : ': still here\n\n';
}

function freshAt(at: string): string {
  return `event: fresh\ndata: ${JSON.stringify({ at })}\n\n`;
}

/** Whether the session goes on and still has the right, by the configuration of this moment. */
async function mayGoOn(request: FastifyRequest, { sessions, readConfiguration, nowMs }: ApiContext): Promise<boolean> {
  const { session, kind, name } = identityOfCaller(request);
  try {
    const configuration = await readConfiguration();
    if (kind === 'token') {
      const token = configuration.api?.tokens?.[name];
      return token !== undefined && (token.until === undefined || Date.parse(token.until) > nowMs());
    }
    if (!session || !sessions.isAlive(session)) return false;
    requireRole(identityOf(session, configuration), 'viewer');
    return true;
  } catch (error) {
    // A configuration that cannot be read for a moment takes no right from anybody; every new request is refused meanwhile.
    return !(error instanceof ToldError && error.code === 'role-missing');
  }
}
