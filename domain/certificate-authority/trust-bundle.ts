import { bytesOfBase64 } from '../base64.ts';

/** A bundle of certificates that somebody trusts: PEM in Base64, as webhooks and API services carry it. */
export interface TrustBundle {
  /** e.g. `ValidatingWebhookConfiguration/policy`. */
  object: string;
  data: string;
}

const certificates = /-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g;

/**
 * The objects that trust an outgoing authority of the cluster and not its successor, each once, sorted. Bundles of other authorities, which
 * most webhooks have, are not concerned; what is no PEM is passed over.
 */
export function pinnedTo(bundles: readonly TrustBundle[], outgoing: { data: string }, successor: { data: string }): string[] {
  const [old] = certificatesIn(outgoing.data);
  const [fresh] = certificatesIn(successor.data);
  if (old === undefined || fresh === undefined) return [];
  const pinned = bundles.filter(({ data }) => {
    const trusted = certificatesIn(data);
    return trusted.includes(old) && !trusted.includes(fresh);
  });
  return [...new Set(pinned.map(({ object }) => object))].sort();
}

/** The certificates of a bundle, each in Base64 without white space. */
function certificatesIn(data: string): string[] {
  const bytes = bytesOfBase64(data.replace(/\s/g, ''));
  if (!bytes) return [];
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return [...text.matchAll(certificates)].map(([, body = '']) => body.replace(/\s/g, ''));
}
