import * as z from 'zod';
import { exportFormat, type ExportStatement } from '../../domain/backup/export.ts';
import { statementOfAny, type BackupFormat } from './store.ts';

const typesMax = 4_000;
const text = z.string().max(1000);
const name = z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/);

const type = z.strictObject({
  group: z.union([z.literal(''), name]),
  version: name,
  resource: name,
  kind: z.string().regex(/^[A-Za-z][A-Za-z0-9]{0,252}$/),
  namespaced: z.boolean(),
  consistency: z.enum(['revision', 'own']),
  revision: z.string().regex(/^[\w.-]{0,64}$/),
  objects: z.int().min(0),
  sha256: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  reason: text.optional(),
});

/** Exports of a cluster through its API server. */
export const kubernetesBackups: BackupFormat<ExportStatement> = {
  format: exportFormat,
  statement: z.strictObject({
    ...statementOfAny,
    serverVersion: text,
    consistency: z.enum(['revision', 'mixed']),
    objects: z.int().min(0),
    types: z.array(type).max(typesMax),
    leftOut: z.array(z.strictObject({ type: text, reason: text })).max(typesMax),
  }),
  // Up to 4,000 types, each with its hash.
  manifestBytesMax: 2 * 1024 * 1024,
};
