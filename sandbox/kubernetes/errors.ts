/** A Status object: how the API server says that something went wrong. */
export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: object;
  status: 'Failure' | 'Success';
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code: number;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: { reason?: string; message?: string; field?: string }[];
  retryAfterSeconds?: number;
}

/** Which resource an error speaks of: `{ group: 'policy', resource: 'poddisruptionbudgets' }`. */
export interface GroupResource {
  group: string;
  resource: string;
}

/** An error that is answered as a Status object with its code. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: Status;

  constructor(code: number, reason: string | undefined, message: string, details?: StatusDetails) {
    super(message);
    this.status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code };
  }
}

function qualified({ group, resource }: GroupResource): string {
  return group === '' ? resource : `${resource}.${group}`;
}

function about({ group, resource }: GroupResource, name: string): StatusDetails {
  return { name, ...(group === '' ? {} : { group }), kind: resource };
}

export function notFound(resource: GroupResource, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(resource)} "${name}" not found`, about(resource, name));
}

/** The path leads to nothing that the server knows. */
export function noSuchPath(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function alreadyExists(resource: GroupResource, name: string): ApiError {
  return new ApiError(409, 'AlreadyExists', `${qualified(resource)} "${name}" already exists`, about(resource, name));
}

export function conflict(resource: GroupResource, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`;
  return new ApiError(409, 'Conflict', message, about(resource, name));
}

/** Somebody else has written the object in between. */
export function modified(resource: GroupResource, name: string): ApiError {
  return conflict(resource, name, 'the object has been modified; please apply your changes to the latest version and try again');
}

export function forbidden(resource: GroupResource, name: string, why: string, causes?: StatusDetails['causes']): ApiError {
  const details = { ...about(resource, name), ...(causes ? { causes } : {}) };
  return new ApiError(403, 'Forbidden', `${qualified(resource)} "${name}" is forbidden: ${why}`, details);
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

/** An object that breaks a rule of its kind; `field` is a path like `spec.selector`. */
export function invalid(group: string, kind: string, name: string, field: string, why: string): ApiError {
  const reason = why.startsWith('Unsupported value') ? 'FieldValueNotSupported' : 'FieldValueInvalid';
  const qualifiedKind = group === '' ? kind : `${kind}.${group}`;
  return new ApiError(422, 'Invalid', `${qualifiedKind} "${name}" is invalid: ${field}: ${why}`, {
    name,
    ...(group === '' ? {} : { group }),
    kind,
    causes: [{ reason, message: why, field }],
  });
}

/** The server no longer has the version that was asked for. */
export function expired(message: string): ApiError {
  return new ApiError(410, 'Expired', message);
}

export function methodNotAllowed(resource: GroupResource, method: string): ApiError {
  const details = about(resource, '');
  delete details.name;
  return new ApiError(405, 'MethodNotAllowed', `the server does not allow this method (${method}) on the requested resource`, details);
}

/** The client takes none of the forms in which the server could answer. */
export function notAcceptable(served: string[]): ApiError {
  return new ApiError(406, 'NotAcceptable', `only the following media types are accepted: ${served.join(', ')}`, {});
}

/** A patch of a type that the server does not know. */
export function unknownPatchType(): ApiError {
  return new ApiError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
}

export function tooManyRequests(message: string, retryAfterSeconds: number, causes: StatusDetails['causes']): ApiError {
  return new ApiError(429, 'TooManyRequests', message, { ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}), causes });
}
