import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serveKubernetes } from './kubernetes/api.ts';
import { badRequest, noSuchPath } from './kubernetes/errors.ts';
import { readJson, sendError, sendJson } from './kubernetes/wire.ts';
import { servePrometheus } from './prometheus/handler.ts';
import { databaseSummary } from './rds/answers.ts';
import { createWorld } from './world.ts';
import type { SimulatedWorld, WorldOptions } from './world.ts';

export interface SandboxOptions extends WorldOptions {
  /** The port on 127.0.0.1; a free one unless given. */
  port?: number;
  /** Serves whatever is neither Kubernetes nor of the sandbox itself: the face of the cloud. */
  cloud?: (world: SimulatedWorld) => RequestListener;
  /** A cluster that is none of the world's, and takes the requests to its API itself. */
  external?: ExternalApi;
}

/** The API of a cluster outside of the world; `path` is what follows the cluster's base URL, with its query. */
export interface ExternalApi {
  readonly name: string;
  forward(request: IncomingMessage, response: ServerResponse, path: string): void;
}

export interface Sandbox {
  /** Base URL, e.g. `http://127.0.0.1:41234`. */
  url: string;
  world: SimulatedWorld;
  stop(): Promise<void>;
}

/** Makes a world and serves it over HTTP on 127.0.0.1. Rejects if the port is taken. */
export async function startSandbox({ port = 0, cloud, external, ...options }: SandboxOptions): Promise<Sandbox> {
  const world = createWorld(options);
  const fallback = cloud?.(world);
  const server = createServer((request, response) => {
    serve({ world, fallback, external }, request, response).catch((error: unknown) => sendError(response, error));
  });
  // A watch says nothing for as long as nothing happens.
  server.requestTimeout = 0;
  await listen(server, port);
  world.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url: world.baseUrl, world, stop: () => stop(world, server) };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function stop(world: SimulatedWorld, server: Server): Promise<void> {
  world.stop();
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

interface Served {
  world: SimulatedWorld;
  fallback: RequestListener | undefined;
  external: ExternalApi | undefined;
}

async function serve({ world, fallback, external }: Served, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, search, searchParams } = new URL(request.url ?? '/', 'http://sandbox');
  const [, part, name = '', ...rest] = pathname.split('/');
  if (part === 'sandbox') {
    await serveAdministration(world, request, response, pathname);
  } else if (part === 'kubernetes' && external?.name === decodeURIComponent(name)) {
    external.forward(request, response, `/${rest.join('/')}${search}`);
  } else if (part === 'kubernetes') {
    const cluster = world.cluster(decodeURIComponent(name));
    if (!cluster) throw noSuchPath();
    const countRequest = (method: string, kind: string): void => world.observer.countRequest(method, kind);
    const address = { path: `/${rest.join('/')}`, query: searchParams, countRequest, faults: world.faults };
    await serveKubernetes(cluster, request, response, address);
  } else if (part === 'prometheus') {
    servePrometheus(request, response, world.queries);
  } else if (fallback) {
    // Express-like handlers may be asynchronous in fact; the type of a listener only promises void.
    await Promise.resolve(fallback(request, response));
  } else {
    throw noSuchPath();
  }
}

/**
 * What testers ask of the sandbox itself: `GET /sandbox/observer`, `GET /sandbox/clusters`, `GET /sandbox/databases`,
 * `GET /sandbox/leftovers`,
 * `POST /sandbox/baseline`, `GET` and `PUT /sandbox/faults` (FaultSettings), `POST /sandbox/clusters/NAME/cut-watches` and
 * `POST /sandbox/clusters/NAME/compact`. No fault ever befalls these.
 */
async function serveAdministration(world: SimulatedWorld, request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  switch (`${request.method} ${path}`) {
    case 'GET /sandbox/observer':
      return sendJson(response, 200, world.observer.summary());
    case 'GET /sandbox/clusters': {
      const clusters = [...world.clusters.values()].map(({ name, url, version }) => ({ name, url, version }));
      return sendJson(response, 200, { now: world.clock.now().toISOString(), speed: world.clock.speed, clusters });
    }
    case 'GET /sandbox/databases':
      return sendJson(response, 200, world.databases.map(databaseSummary));
    case 'GET /sandbox/leftovers':
      return sendJson(response, 200, world.leftovers());
    case 'POST /sandbox/baseline':
      world.takeBaseline();
      return sendJson(response, 200, {});
    case 'PUT /sandbox/faults':
      setFaults(world, await readJson(request));
      return sendJson(response, 200, world.faults.settings);
    case 'GET /sandbox/faults':
      return sendJson(response, 200, world.faults.settings);
    default:
      return serveClusterAdministration(world, request, response, path);
  }
}

function setFaults({ faults }: SimulatedWorld, settings: unknown): void {
  try {
    faults.set(settings);
  } catch (error) {
    throw badRequest(error instanceof Error ? error.message : String(error));
  }
}

function serveClusterAdministration(world: SimulatedWorld, { method }: IncomingMessage, response: ServerResponse, path: string): void {
  const [, , part, name = '', verb] = path.split('/');
  const cluster = part === 'clusters' && method === 'POST' ? world.cluster(decodeURIComponent(name)) : undefined;
  if (cluster && verb === 'cut-watches') cluster.cutWatches();
  else if (cluster && verb === 'compact') cluster.store.compact();
  else throw noSuchPath();
  return sendJson(response, 200, {});
}
