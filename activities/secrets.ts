/** Credentials that are remembered; those that were used longest ago are forgotten first. */
const rememberedMax = 100;
/** What is shorter could be any word. */
const secretCharactersMin = 8;
const leftOut = '(left out)';

/** What follows these words may be a secret. */
const secretNames = 'token|secret|signature|credential|password|passwd|authorization|api-?key';
const secretWords = new RegExp(`\\b([\\w-]*(?:${secretNames})[\\w-]*)(["']?\\s*[:=]\\s*)(?:bearer\\s+|basic\\s+)?["']?[^\\s"',;&]+`, 'gi');
/** Tokens, keys and signatures: a word of letters and digits that is longer than names are. */
const longWords = /\b[A-Za-z0-9+/_=-]{40,}/g;
/** A JWT, an access key of AWS, the token of a presigned call, tokens of Slack. */
const tokenShapes = /\b(?:eyJ[\w.-]{8,}|A[KS]IA[A-Z0-9]{12,}|k8s-aws-v1\.[\w=-]+|xox[a-z]-[\w-]+)/g;
/** What stands in a header of HTTP. */
const headerValues = /\b(bearer|basic)\s+[\w+/=.~-]{8,}/gi;
/** `user:password@` in an address. */
const addressPasswords = /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@"']{1,1000}@/gi;

/** By the secret: all forms in which somebody may send it back. */
const remembered = new Map<string, readonly string[]>();

/**
 * Remembers a credential that is about to be sent somewhere, so that it is taken out of whatever is answered: servers, proxies and webhooks
 * can send back what was sent to them, and their words are told in errors, plans, histories and records.
 */
export function rememberSecret(secret: string | undefined): void {
  if (secret === undefined || secret.length < secretCharactersMin) return;
  const forms = remembered.get(secret) ?? formsOf(secret);
  remembered.delete(secret);
  remembered.set(secret, forms);
  const [oldest] = remembered.keys();
  if (remembered.size > rememberedMax && oldest !== undefined) remembered.delete(oldest);
}

/** A step of the clients of AWS: remembers the key's id and the token of the session that a request is sent with. */
export function rememberingCredentials<Args extends { request: unknown }, Result>(
  next: (args: Args) => Promise<Result>,
): (args: Args) => Promise<Result> {
  return async (args) => {
    const { headers = {} } = args.request as { headers?: Record<string, string | undefined> };
    rememberSecret(headers['x-amz-security-token']);
    rememberSecret(/Credential=([^/]+)\//.exec(headers.authorization ?? '')?.[1]);
    return next(args);
  };
}

/** A text without the credentials that are remembered, in whatever form. */
function withoutRememberedSecrets(text: string): string {
  let rest = text;
  for (const forms of remembered.values()) for (const form of forms) rest = rest.replaceAll(form, leftOut);
  return rest;
}

/** What a server has said, without what it was asked with and without what looks like nothing but a credential. Names stay as they are. */
export function withoutCredentials(text: string): string {
  return withoutRememberedSecrets(text)
    .replace(headerValues, `$1 ${leftOut}`)
    .replace(tokenShapes, leftOut)
    .replace(addressPasswords, `$1${leftOut}@`);
}

/** What a program has said that works with secrets, with whatever may be one taken out of it, long names among them. */
export function withoutSecrets(text: string): string {
  return withoutCredentials(text.replace(secretWords, `$1$2${leftOut}`)).replace(longWords, leftOut);
}

/** As it is, as it stands in addresses, and in base64, in which it looks different at each of three places. */
function formsOf(secret: string): string[] {
  const inBase64 = [0, 1, 2].map((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]);
    // Characters that stand for bytes before or after it as well are not its own.
    const own = whole
      .toString('base64')
      .replace(/=+$/, '')
      .slice(before === 0 ? 0 : before + 1);
    return whole.length % 3 === 0 ? own : own.slice(0, -1);
  });
  const inBase64Url = inBase64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  return [...new Set([secret, encodeURIComponent(secret), ...inBase64, ...inBase64Url])];
}
