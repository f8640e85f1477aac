import type { IncomingMessage, ServerResponse } from 'node:http';

/** What a query gives: series with their values, one value, or an error; with warnings where there are any. */
export type QueryResult =
  | { vector: { metric: Record<string, string>; value: string }[]; warnings?: string[] }
  | { scalar: string }
  | { matrix: true }
  | { error: string };

/** Serves `/prometheus/api/v1/query`, an instant query of Prometheus, with what is kept for it; an unknown one gives no series. */
export function servePrometheus(request: IncomingMessage, response: ServerResponse, results: ReadonlyMap<string, QueryResult>): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://sandbox');
  if (pathname !== '/prometheus/api/v1/query') {
    response.writeHead(404).end('404 page not found');
    return;
  }
  const query = searchParams.get('query');
  if (query === null || query === '')
    return refuse(response, 'invalid parameter "query": unknown position: parse error: no expression found');
  const result = results.get(query) ?? { vector: [] };
  if ('error' in result) return refuse(response, result.error);
  const at = Date.now() / 1000;
  if ('matrix' in result) return send(response, 200, { status: 'success', data: { resultType: 'matrix', result: [] } });
  if ('scalar' in result) return send(response, 200, { status: 'success', data: { resultType: 'scalar', result: [at, result.scalar] } });
  const { vector, warnings } = result;
  const series = vector.map(({ metric, value }) => ({ metric, value: [at, value] }));
  send(response, 200, { status: 'success', data: { resultType: 'vector', result: series }, ...(warnings && { warnings }) });
}

function refuse(response: ServerResponse, error: string): void {
  send(response, 400, { status: 'error', errorType: 'bad_data', error });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
