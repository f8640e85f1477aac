import * as z from 'zod';
import type { SourceMap } from '../grammar/document.ts';
import { httpUrl, secretFile, secretOf, secretVariable, type Secret } from './secret.ts';

/** What gates may ask over HTTP. */
export interface Endpoint {
  url: string;
  /** A bearer token; none is sent where it is left out. */
  token?: Secret;
}

/** An entry of `endpoints` of holdpoint.yaml. */
export const endpointGrammar = z.strictObject({
  url: httpUrl.describe('Its address, without what a query of a gate adds.'),
  tokenFile: secretFile('its bearer token'),
  tokenFromEnvironment: secretVariable('its bearer token'),
});

type Document = Record<string, z.output<typeof endpointGrammar>>;

/** Tells what a grammar cannot: that a token comes from one place. */
export function checkEndpoints(endpoints: Document, sourceMap: SourceMap): void {
  for (const [name, { tokenFile, tokenFromEnvironment }] of Object.entries(endpoints)) {
    if (tokenFile === undefined || tokenFromEnvironment === undefined) continue;
    sourceMap.error(['endpoints', name], 'Must name either `tokenFile` or `tokenFromEnvironment`, not both.');
  }
}

/** Of endpoints that have been checked. */
export function endpointsOf(endpoints: Document): Record<string, Endpoint> {
  const complete = Object.entries(endpoints).map(([name, { url, tokenFile, tokenFromEnvironment }]): [string, Endpoint] => {
    const hasToken = tokenFile !== undefined || tokenFromEnvironment !== undefined;
    return [name, { url, ...(hasToken && { token: secretOf(tokenFile, tokenFromEnvironment) }) }];
  });
  return Object.fromEntries(complete);
}
