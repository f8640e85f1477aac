import { CompactSign } from 'jose';
import { KeyError, type SigningKey } from './keys.ts';
import { statementAlgorithm, statementCharactersMax, statementType, type Statement } from '../domain/approval/statement.ts';

/**
 * Signs a statement with its person's own key.
 *
 * @returns a compact JWS over the statement as JSON; its header names the person as `kid`.
 * @throws KeyError where the key is another person's, or the statement is longer than any verifier reads.
 */
export async function signStatement(statement: Statement, key: SigningKey): Promise<string> {
  if (statement.person !== key.person) {
    throw new KeyError(`The statement is from ${statement.person}, but the key belongs to ${key.person}.`, 'Sign with your own key.');
  }
  const jws = await new CompactSign(new TextEncoder().encode(JSON.stringify(statement)))
    .setProtectedHeader({ alg: statementAlgorithm, typ: statementType, kid: key.person })
    .sign(key.privateKey);
  if (jws.length > statementCharactersMax) {
    throw new KeyError(
      `The signed statement has ${jws.length} characters; at most ${statementCharactersMax} are accepted.`,
      'Give a shorter reason.',
    );
  }
  return jws;
}
