import { dirname, resolve } from 'node:path';
import * as z from 'zod';
import type { SourceMap } from '../grammar/document.ts';
import { secretFile, secretOf, secretVariable, secretWithPath, type Secret } from './secret.ts';

const writesPerSecondMax = 200;
const writesPerSecondDefault = 20;

/** How the outage of a database is measured: addresses with passwords in them, which are read when they are needed. */
export interface ProbeAccess {
  writer: Secret;
  /** Reads are tried as well where it is given. */
  reader?: Secret;
  writesPerSecond: number;
}

/** An entry of `probes` of holdpoint.yaml. */
export const probeGrammar = z.strictObject({
  urlFile: secretFile('the URL of the cluster endpoint, with user and password'),
  urlFromEnvironment: secretVariable('the URL of the cluster endpoint, with user and password'),
  readerUrlFile: secretFile('the URL of the reader endpoint'),
  readerUrlFromEnvironment: secretVariable('the URL of the reader endpoint'),
  writesPerSecond: z
    .int()
    .min(1)
    .max(writesPerSecondMax)
    .default(writesPerSecondDefault)
    .describe('How many rows a second are written while a change is carried out.'),
});

type Document = Record<string, z.output<typeof probeGrammar>>;

/** Tells what a grammar cannot: that each URL comes from one place. */
export function checkProbes(probes: Document, sourceMap: SourceMap): void {
  for (const [target, { urlFile, urlFromEnvironment, readerUrlFile, readerUrlFromEnvironment }] of Object.entries(probes)) {
    if ((urlFile === undefined) === (urlFromEnvironment === undefined)) {
      sourceMap.error(['probes', target], 'Must name either `urlFile` or `urlFromEnvironment`, not both.');
    }
    if (readerUrlFile !== undefined && readerUrlFromEnvironment !== undefined) {
      sourceMap.error(['probes', target], 'Must name either `readerUrlFile` or `readerUrlFromEnvironment`, not both.');
    }
  }
}

/** Of probes that have been checked. */
export function probesIn(probes: Document): Record<string, ProbeAccess> {
  const complete = Object.entries(probes).map(([target, given]): [string, ProbeAccess] => {
    const { urlFile, urlFromEnvironment, readerUrlFile, readerUrlFromEnvironment, writesPerSecond } = given;
    const hasReader = readerUrlFile !== undefined || readerUrlFromEnvironment !== undefined;
    const reader = hasReader ? { reader: secretOf(readerUrlFile, readerUrlFromEnvironment) } : {};
    return [target, { writer: secretOf(urlFile, urlFromEnvironment), ...reader, writesPerSecond }];
  });
  return Object.fromEntries(complete);
}

/** The probes of a configuration by their targets, with absolute paths. */
export function probesOf(
  configurationFile: string,
  { probes = {} }: { probes?: Record<string, ProbeAccess> },
): Record<string, ProbeAccess> {
  const absolute = (path: string): string => resolve(dirname(configurationFile), path);
  const complete = Object.entries(probes).map(([target, { writer, reader, writesPerSecond }]): [string, ProbeAccess] => [
    target,
    { writer: secretWithPath(writer, absolute), ...(reader && { reader: secretWithPath(reader, absolute) }), writesPerSecond },
  ]);
  return Object.fromEntries(complete);
}
