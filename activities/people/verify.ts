import { compactVerify, errors, importJWK, type CompactJWSHeaderParameters } from 'jose';
import { refusalOfPeriod, type PreApprovalCode } from '../../domain/approval/pre-approval.ts';
import {
  differingClaim,
  readStatement,
  statementAlgorithm,
  statementCharactersMax,
  statementType,
  type ExpectedStatement,
  type Statement,
} from '../../domain/approval/statement.ts';
import { parseJson } from '../../domain/json.ts';

export type VerificationCode =
  | 'person-unknown'
  | 'key-malformed'
  | 'statement-too-large'
  | 'statement-malformed'
  | 'algorithm-refused'
  | 'signer-differs'
  | 'signature-forged'
  | 'claim-differs'
  | 'statement-from-future'
  | 'statement-stale'
  | PreApprovalCode;

interface VerificationRefusal {
  ok: false;
  code: VerificationCode;
  /** One sentence for the person; never holds key material. */
  reason: string;
  remedy: string;
}

export type VerificationResult = { ok: true; statement: Statement } | VerificationRefusal;

/** How old a statement may be when it arrives: long enough for a worker to restart, too short to keep one in a drawer. */
export const statementAgeMaxMs = 15 * 60_000;

/** How far the clocks of a person and of a worker may be apart. */
export const clockSkewMaxMs = 60_000;

/** How many claims are named that are wrong. */
const wrongClaimsShownMax = 5;

/**
 * Checks that a statement was signed by the person it must be from, says exactly what is expected, and is fresh. A pre-approval is
 * fresh until its opening ends; whether the opening has begun is for `refusalOfPreApproval` to say.
 *
 * @param jws compact JWS as it came over the wire.
 * @param expected every claim but `at` and `nonce`, from what was asked for and what the run knows; its person must be the signer.
 * @param publicKey the person's public key (the `x` of an Ed25519 JWK, base64url), undefined where the person is not known.
 */
export async function verifyStatement(
  jws: string,
  expected: ExpectedStatement,
  publicKey: string | undefined,
  now: Date,
): Promise<VerificationResult> {
  const result = await verifySignature(jws, expected, publicKey);
  return result.ok ? (unfreshness(result.statement, now) ?? result) : result;
}

/** As `verifyStatement`, but at any time afterwards: for the record of a run, whose statements are old by nature. */
export async function verifySignature(
  jws: string,
  expected: ExpectedStatement,
  publicKey: string | undefined,
): Promise<VerificationResult> {
  const { person } = expected;
  if (publicKey === undefined) {
    const remedy = `Have the platform team add people.${person}.key to holdpoint.yaml.`;
    return refused('person-unknown', `No public key of ${person} is known.`, remedy);
  }
  if (jws.length > statementCharactersMax) {
    const reason = `The statement of ${person} has ${jws.length} characters; at most ${statementCharactersMax} are read.`;
    return refused('statement-too-large', reason, 'Give a shorter reason.');
  }
  const key = await importKey(publicKey);
  if (key === undefined) {
    const reason = `The public key of ${person} is not an Ed25519 key in base64url.`;
    return refused('key-malformed', reason, `Have people.${person}.key in holdpoint.yaml corrected; \`holdpoint keys create\` makes one.`);
  }
  try {
    const { payload, protectedHeader } = await compactVerify(jws, key, { algorithms: [statementAlgorithm] });
    return headerProblem(protectedHeader, person) ?? readClaims(payload, expected);
  } catch (error) {
    return mapJoseError(error, person);
  }
}

async function importKey(x: string): Promise<Awaited<ReturnType<typeof importJWK>> | undefined> {
  // The decoder is lenient; only the one spelling of 32 bytes is let through, so that equal keys are equal texts.
  if (Buffer.from(x, 'base64url').length !== 32 || Buffer.from(x, 'base64url').toString('base64url') !== x) return undefined;
  return importJWK({ kty: 'OKP', crv: 'Ed25519', x }, statementAlgorithm).catch(() => undefined);
}

function headerProblem(header: CompactJWSHeaderParameters, person: string): VerificationRefusal | undefined {
  if (header.typ !== statementType) {
    const reason = `The signed token of ${person} is of type ${quote(header.typ)}, not "${statementType}".`;
    return refused('statement-malformed', reason, 'Sign with `holdpoint`, which makes statements of the right type.');
  }
  if (header.kid === person) return undefined;
  const reason = `The statement is to be from ${person}, but its header names ${quote(header.kid)} as the signer.`;
  return refused('signer-differs', reason, `Have ${person} sign with their own key.`);
}

function readClaims(payload: Uint8Array, expected: ExpectedStatement): VerificationResult {
  const read = readStatement(parseJson(payload));
  if ('wrong' in read) {
    const wrong = read.wrong.slice(0, wrongClaimsShownMax).map(quote).join(', ');
    const reason = `${expected.person} signed something that is not a statement (wrong: ${wrong}).`;
    return refused('statement-malformed', reason, 'Use the same version of `holdpoint` as the worker.');
  }
  const { statement } = read;
  const difference = differingClaim(statement, expected);
  if (difference === undefined) return { ok: true, statement };
  const { claim, signed, expected: wanted } = difference;
  const reason = `${expected.person} signed ${claim} ${quote(signed)}, but it should be ${quote(wanted)}.`;
  return refused('claim-differs', reason, 'Look at the run with `holdpoint show` and sign what is shown there.');
}

function unfreshness(statement: Statement, now: Date): VerificationRefusal | undefined {
  const { at, person } = statement;
  const ageMs = now.getTime() - Date.parse(at);
  if (ageMs < -clockSkewMaxMs) {
    const reason = `The statement of ${person} is dated ${at}, which is later than ${now.toISOString()} on the worker.`;
    return refused('statement-from-future', reason, 'Set the clock of the machine that signed (or of the worker) right and sign again.');
  }
  if (statement.kind === 'pre-approval') {
    const refusal = refusalOfPeriod(statement, now.getTime());
    return refusal && { ok: false, ...refusal };
  }
  if (ageMs <= statementAgeMaxMs + clockSkewMaxMs) return undefined;
  const reason =
    `The statement of ${person} was signed at ${at} and arrived at ${now.toISOString()}; ` +
    `it counts for ${statementAgeMaxMs / 60_000} minutes.`;
  return refused('statement-stale', reason, 'Look at the plan again and sign anew.');
}

function mapJoseError(error: unknown, person: string): VerificationRefusal {
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    const reason = `The signature does not match the key of ${person}: another key made it, or the statement was changed after signing.`;
    return refused('signature-forged', reason, `Have ${person} sign again, with the key that holdpoint.yaml names for them.`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    const reason = `The statement of ${person} is not signed with ${statementAlgorithm}, the only algorithm that is accepted.`;
    return refused('algorithm-refused', reason, 'Sign with `holdpoint`.');
  }
  if (error instanceof errors.JOSEError) {
    const reason = `The statement of ${person} is not a signed token that can be read (${error.code}).`;
    return refused('statement-malformed', reason, 'Sign with `holdpoint`.');
  }
  throw error;
}

function refused(code: VerificationCode, reason: string, remedy: string): VerificationRefusal {
  return { ok: false, code, reason, remedy };
}

/** What a stranger sent is quoted, and cut so that it cannot flood a message. */
function quote(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 120) ?? 'nothing';
}
