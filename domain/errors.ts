/**
 * What follows from an error: `retry` = it may pass by itself; `stuck` = a person must look, nothing was decided;
 * `refuse` = the request was wrong and nothing has been touched.
 */
export type Consequence = 'retry' | 'stuck' | 'refuse';

interface ErrorKind {
  consequence: Consequence;
  /** One sentence with `{name}` places for the details. */
  message: string;
  /** What the person can do. */
  remedy: string;
}

/** Every error that Holdpoint can report, by code. `docs/errors.md` lists the same codes. */
export const errorKinds = {
  'aws-credentials-missing': {
    consequence: 'refuse',
    message: 'The worker has no AWS credentials for {service} in {region}.',
    remedy: 'Give the worker credentials (AWS_PROFILE, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and start it again.',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

export type ErrorDetails = Record<string, string | number>;

/** An error that a person can act upon: what happened, to which object, why, and what to do. */
export class HoldpointError extends Error {
  override readonly name = 'HoldpointError';
  readonly code: ErrorCode;
  readonly consequence: Consequence;
  readonly remedy: string;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: { cause?: unknown; remedy?: string }) {
    const kind: ErrorKind = errorKinds[code];
    super(fill(kind.message, details), options);
    this.code = code;
    this.consequence = kind.consequence;
    this.remedy = options?.remedy ?? fill(kind.remedy, details);
    this.details = details;
  }
}

function fill(text: string, details: ErrorDetails): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => String(details[name] ?? place));
}
