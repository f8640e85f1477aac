import { gunzipSync } from 'node:zlib';
import type { WrittenVersion } from '../../domain/preflight/snapshot.ts';

/** What is unpacked of one release; a Secret holds 1 MB at most, and a chart that is packed so well is no chart. */
const releaseBytesMax = 16 * 1024 * 1024;
/** Objects that are looked at of one release. */
const objectsMax = 2_000;

/** A Secret in which Helm keeps a release. */
interface ReleaseSecret {
  metadata?: { namespace?: string; name?: string; labels?: Record<string, string> };
  data?: { release?: string };
}

/**
 * The kinds and API versions of a release that Helm has deployed, out of its manifest; nothing else of the Secret is kept. What cannot be
 * unpacked has none. Source: helm/helm pkg/storage/driver/util.go (base64, gzip, JSON; the Secret's own base64 around it).
 */
export function releaseVersions(object: object): WrittenVersion[] {
  const { metadata, data } = object as ReleaseSecret;
  if (metadata?.labels?.status !== 'deployed' || data?.release === undefined) return [];
  const { name = '', version = '?' } = metadata.labels;
  const manifest = manifestOf(data.release);
  const where = `Revision ${version} of the Helm release ${metadata.namespace ?? ''}/${name}`;
  return manifest
    .split(/^---.*$/m, objectsMax)
    .flatMap((text) => {
      const [apiVersion, kind] = [fieldOf(text, 'apiVersion'), fieldOf(text, 'kind')];
      return apiVersion === undefined || kind === undefined ? [] : [{ apiVersion, kind, text }];
    })
    .map(({ apiVersion, kind, text }) => ({
      kind,
      namespace: metadata.namespace ?? '',
      name: /^metadata:\s*\n(?:[ \t].*\n)*?[ \t]+name:[ \t]*["']?([\w.:-]{1,253})/m.exec(text)?.[1] ?? name,
      apiVersion,
      where,
    }));
}

function manifestOf(release: string): string {
  try {
    const packed = Buffer.from(Buffer.from(release, 'base64').toString('latin1'), 'base64');
    const isPacked = packed[0] === 0x1f && packed[1] === 0x8b;
    const text = isPacked ? gunzipSync(packed, { maxOutputLength: releaseBytesMax }) : packed;
    const { manifest } = JSON.parse(text.toString('utf8')) as { manifest?: unknown };
    return typeof manifest === 'string' ? manifest : '';
  } catch {
    return '';
  }
}

function fieldOf(text: string, field: string): string | undefined {
  return new RegExp(`^${field}:[ \\t]*["']?([A-Za-z0-9./-]{1,253})`, 'm').exec(text)?.[1];
}
