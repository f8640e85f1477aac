import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

/** What a certificate or a key is read from, and how errors name it. It is never shown itself. */
export interface Material {
  bytes: Uint8Array;
  name: string;
}

/** What is wrong, as a part of a sentence, and what to do. */
export interface Problem {
  cause: string;
  remedy: string;
}

/** BEGIN and END have lines of their own: OpenSSL sees nothing of a certificate that was put right behind another one. */
const certificateBlock = /^-----BEGIN CERTIFICATE-----\s*$[\s\S]+?^-----END CERTIFICATE-----\s*$/gm;
const damagedRemedy = 'Copy it again, whole and with its line breaks.';
const pemRemedy = 'It must be PEM: text that begins with -----BEGIN';

/** What is wrong with certificates in themselves, whatever the server says to them. */
export function certificateProblem(
  { client, key, authority }: Partial<Record<'client' | 'key' | 'authority', Material>>,
  now: Date,
): Problem | undefined {
  if (authority && !('certificates' in readCertificates(authority))) return readCertificates(authority) as Problem;
  if (!client && !key) return undefined;
  if (!client) return lonely(key!, 'the certificate to it', 'TEMPORAL_TLS_CLIENT_CERT_PATH or …_DATA');
  if (!key) return lonely(client, 'the private key to it', 'TEMPORAL_TLS_CLIENT_KEY_PATH or …_DATA');
  const read = readCertificates(client);
  if (!('certificates' in read)) return read;
  const privateKey = readKey(key);
  if ('cause' in privateKey) return privateKey;
  const [own] = read.certificates;
  if (!own!.checkPrivateKey(privateKey)) {
    return { cause: `${client.name} and ${key.name} do not belong together`, remedy: 'Give the key that the certificate was made for.' };
  }
  return validityProblem(own!, client.name, now);
}

/** What is wrong with the dates of a certificate. */
export function validityProblem({ validFrom, validTo }: Validity, name: string, now: Date): Problem | undefined {
  const clock = `the clock of this machine says ${now.toISOString()}`;
  if (now > new Date(validTo)) return { cause: `${name} expired on ${isoOf(validTo)}`, remedy: `Renew it; ${clock}.` };
  if (now < new Date(validFrom))
    return { cause: `${name} is not valid before ${isoOf(validFrom)}`, remedy: `Wait, or set the clock: ${clock}.` };
  return undefined;
}

interface Validity {
  validFrom: string;
  validTo: string;
}

function isoOf(date: string): string {
  return new Date(date).toISOString().replace('.000Z', 'Z');
}

function lonely({ name }: Material, other: string, variable: string): Problem {
  return { cause: `${name} is given, but not ${other}`, remedy: `Set ${variable}.` };
}

function textOf({ bytes }: Material): string {
  return Buffer.from(bytes).toString('latin1');
}

/** A file may hold a chain, or several authorities. */
function readCertificates(material: Material): { certificates: X509Certificate[] } | Problem {
  const text = textOf(material);
  const blocks = text.match(certificateBlock) ?? [];
  const begun = text.split('-----BEGIN CERTIFICATE-----').length - 1;
  if (begun === 0) {
    const isKey = text.includes('PRIVATE KEY-----');
    const cause = `${material.name} is ${isKey ? 'a private key' : 'no certificate in PEM'}`;
    return { cause, remedy: isKey ? 'Certificate and key may be the wrong way round.' : `${pemRemedy} CERTIFICATE-----.` };
  }
  try {
    if (blocks.length !== begun) throw new Error('BEGIN or END without a line of its own');
    return { certificates: blocks.map((block) => new X509Certificate(block)) };
  } catch {
    return { cause: `${material.name} is damaged: what is between BEGIN and END is no certificate`, remedy: damagedRemedy };
  }
}

/** The reason that OpenSSL gives is left out: it has no more to say than that. */
function readKey(material: Material): KeyObject | Problem {
  const text = textOf(material);
  if (!text.includes('PRIVATE KEY-----')) {
    const isCertificate = text.includes('-----BEGIN CERTIFICATE-----');
    const cause = `${material.name} is ${isCertificate ? 'a certificate' : 'no private key in PEM'}`;
    return { cause, remedy: isCertificate ? 'Certificate and key may be the wrong way round.' : `${pemRemedy} PRIVATE KEY-----.` };
  }
  if (/BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    return {
      cause: `${material.name} has a passphrase`,
      remedy: 'Take it off with `openssl pkey -in FILE -out FILE`: nobody is there to type it.',
    };
  }
  try {
    return createPrivateKey(text);
  } catch {
    return { cause: `${material.name} is damaged: what is between BEGIN and END is no private key`, remedy: damagedRemedy };
  }
}
