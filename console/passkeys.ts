import { challengeOf, enrolmentChallenge, readPasskey, signedByPasskey, textOfPasskey, type Passkey } from '../domain/approval/passkey.ts';
import {
  bytesOfStatement,
  statementFor,
  type Shown,
  type Statement,
  type StatementKind,
  type StatementOf,
} from '../domain/approval/statement.ts';
import { base64urlOf, bytesOfBase64url } from '../domain/base64.ts';

/** Long enough to find a token and to type its PIN. */
const promptTimeoutMs = 120_000;
const nonceBytes = 16;
const backupEligible = 0x08;
const flagsPlace = 32;
/** What WebAuthn calls the algorithms (RFC 9053); the first is asked for first. */
const algorithms = { [-8]: 'EdDSA', [-7]: 'ES256' } as const;

/** What somebody was shown and says to it, before it is signed. */
export type Said<Kind extends StatementKind> = Extract<Shown, { kind: Kind }>;

/** Nothing was signed: the person has said no, or the device has. */
export class CancelledError extends Error {
  override readonly name = 'CancelledError';
}

/** The passkeys of a person that work on this page, by the lines of holdpoint.yaml. */
export function passkeysHere(keys: readonly { type: string; key: string }[]): Passkey[] {
  return keys.flatMap(({ type, key }) => {
    const passkey = type === 'passkey' ? readPasskey(key) : undefined;
    return passkey?.rpId === location.hostname ? [passkey] : [];
  });
}

/**
 * Signs what somebody says. Nothing is waited for before the device is asked: some browsers ask it only within the click itself.
 *
 * @throws CancelledError where nothing was signed.
 */
export async function sign<Kind extends StatementKind>(
  said: Said<Kind>,
  person: string,
  passkeys: readonly Passkey[],
): Promise<{ statement: StatementOf<Kind>; signature: string }> {
  const nonce = base64urlOf(crypto.getRandomValues(new Uint8Array(nonceBytes)));
  const statement = statementFor<Kind>(said, { person, at: new Date().toISOString(), nonce });
  const bytes = bytesOfStatement(statement as unknown as Statement);
  const credential = await cancelled(
    navigator.credentials.get({
      publicKey: {
        challenge: ofBrowser(challengeOf(bytes)),
        rpId: location.hostname,
        allowCredentials: passkeys.map(({ credential: id }) => ({ type: 'public-key', id: ofBrowser(bytesOfBase64url(id)) })),
        userVerification: 'required',
        timeout: promptTimeoutMs,
      },
    }),
  );
  const response = (credential as PublicKeyCredential | null)?.response as AuthenticatorAssertionResponse | undefined;
  const passkey = passkeys.find(({ credential: id }) => id === credential?.id);
  if (!response || !passkey) throw new CancelledError();
  const { authenticatorData, clientDataJSON, signature } = response;
  const parts = { authenticatorData: new Uint8Array(authenticatorData), clientDataJSON: new Uint8Array(clientDataJSON) };
  return { statement, signature: signedByPasskey(bytes, passkey, { ...parts, signature: new Uint8Array(signature) }) };
}

/**
 * Has the device make a passkey for this page.
 *
 * @returns the text of the key, as `keys` of holdpoint.yaml has it.
 * @throws CancelledError where none was made.
 */
export async function makePasskey(person: string, name: string, known: readonly Passkey[]): Promise<{ key: string; deviceBound: boolean }> {
  const rpId = location.hostname;
  const challenge = enrolmentChallenge({ person, rpId, at: new Date().toISOString() });
  const credential = await cancelled(
    navigator.credentials.create({
      publicKey: {
        challenge: ofBrowser(challenge),
        rp: { id: rpId, name: 'Holdpoint' },
        user: { id: ofBrowser(new TextEncoder().encode(person)), name: person, displayName: name },
        pubKeyCredParams: Object.keys(algorithms)
          .map(Number)
          .sort((one, other) => one - other)
          .map((alg) => ({ type: 'public-key', alg })),
        excludeCredentials: known.map(({ credential: id }) => ({ type: 'public-key', id: ofBrowser(bytesOfBase64url(id)) })),
        authenticatorSelection: { userVerification: 'required', residentKey: 'preferred' },
        attestation: 'none',
        timeout: promptTimeoutMs,
      },
    }),
  );
  const { id, response } = credential as PublicKeyCredential & { response: AuthenticatorAttestationResponse };
  const algorithm = algorithms[response.getPublicKeyAlgorithm() as keyof typeof algorithms];
  const spki = new Uint8Array(response.getPublicKey() ?? new ArrayBuffer(0));
  const publicKey = spki.subarray(algorithm === 'ES256' ? -65 : -32);
  const deviceBound = ((new Uint8Array(response.getAuthenticatorData())[flagsPlace] ?? 0) & backupEligible) === 0;
  const key = textOfPasskey({ algorithm, deviceBound, rpId, credential: id, publicKey });
  // What cannot be read here could not be read by a worker either.
  if (!readPasskey(key)) throw new CancelledError();
  return { key, deviceBound };
}

/** Whatever has kept the device from signing has one name in browsers, and they do not tell more. */
async function cancelled(asking: Promise<Credential | null>): Promise<Credential> {
  const credential = await asking.catch(() => null);
  if (!credential) throw new CancelledError();
  return credential;
}

function ofBrowser(bytes: Uint8Array | undefined): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes ?? []);
}
