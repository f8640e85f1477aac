import { randomBytes } from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 24 * 60 * 60 * 1_000;

/** A certificate and its private key, in PEM. */
export interface Identity {
  cert: string;
  key: string;
}

/** An authority that signs certificates: its own in PEM, and what makes new ones. */
export interface Authority {
  cert: string;
  issue(options: { name: string; hosts?: readonly string[]; validTo?: Date }): Promise<Identity>;
}

/** Makes an authority for the certificates of a test. */
export async function createAuthority(name: string): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...common({}),
    name: `CN=${name}`,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  return {
    cert: certificate.toString('pem'),
    issue: async ({ name: subject, hosts = [], validTo }) => {
      const { publicKey, privateKey } = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      const names = hosts.map((value) => ({ type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const), value }));
      const issued = await x509.X509CertificateGenerator.create({
        ...common({ validTo }),
        subject: `CN=${subject}`,
        issuer: certificate.subject,
        publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        ],
      });
      const pkcs8 = await crypto.subtle.exportKey('pkcs8', privateKey);
      return { cert: issued.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') };
    },
  };
}

function common({ validTo = new Date(Date.now() + dayMs) }: { validTo?: Date }) {
  const serialNumber = `01${randomBytes(8).toString('hex')}`;
  return { serialNumber, notBefore: new Date(validTo.getTime() - 2 * dayMs), notAfter: validTo, signingAlgorithm: algorithm };
}
