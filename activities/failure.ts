import { ApplicationFailure } from '@temporalio/common';
import { ApiException } from '@kubernetes/client-node';
import type { Target } from '../domain/target.ts';
import { HoldpointError } from '../domain/errors.ts';
import { cut } from '../domain/visible.ts';
import { EvidenceError } from './evidence/store.ts';
import { withoutCredentials, withoutSecrets } from './secrets.ts';

const awsDeniedNames = new Set([
  'AccessDeniedException',
  'AccessDenied',
  // Of EC2.
  'UnauthorizedOperation',
  'AuthFailure',
  'UnrecognizedClientException',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'MissingAuthenticationTokenException',
  'ExpiredTokenException',
  'InvalidClientTokenId',
]);
const awsBusyNames = new Set([
  'ThrottlingException',
  // Of RDS.
  'Throttling',
  'TooManyRequestsException',
  'ResourceInUseException',
  // Of Auto Scaling.
  'ResourceContentionFault',
  'ScalingActivityInProgressFault',
  'ServerException',
  'ServiceUnavailableException',
]);
/** What Node, its TLS and its HTTP parser call a connection that did not come about, broke off or cannot be trusted. */
/** Of our own errors where no credential could be had. */
const credentialCode = 'ECREDENTIAL';
const networkCodes = new Set([
  credentialCode,
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'ETIMEDOUT',
  'EPIPE',
  'EPROTO',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETRESET',
  'ENETUNREACH',
  'ERR_STREAM_PREMATURE_CLOSE',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);
/** Codes of the HTTP parser (`HPE_…`), of OpenSSL (`ERR_SSL_…`) and of Node's fetch (`UND_ERR_…`). */
const networkCodePrefixes = ['HPE_', 'ERR_SSL_', 'UND_ERR_'];
/** An answer that was waited for too long, or that is no JSON: what a proxy says in the place of the server. */
const networkNames = new Set(['AbortError', 'TimeoutError', 'SyntaxError']);
/** The same as the HTTP client of Kubernetes (node-fetch) calls it. */
const networkTypes = new Set(['invalid-json', 'body-timeout', 'request-timeout', 'max-size']);
/** How much of somebody else's message is told; the rest would fill screens and records. */
export const messageCharactersMax = 1_000;
/** How much of it is looked at. */
const readCharactersMax = 64 * 1024;
/** How deep the cause of an error is looked for. */
const causesMax = 5;

/**
 * Reads an error of the AWS SDK. EKS reports throttling under two names, one of them an InvalidRequestException that
 * only its text tells apart. Throws the error itself where neither AWS nor the way to it has to do with it, as with a TypeError of ours.
 */
export function awsError(error: unknown, call: string, target: Target): HoldpointError {
  if (error instanceof HoldpointError) return error;
  const name = nameOf(error);
  const cause = withoutFullStop(told(error, name));
  const details = { call, cause, target: `${target.kind}/${target.region}/${target.name}` };
  if (name === 'CredentialsProviderError') return new HoldpointError('aws-credentials-missing', details, { cause: error });
  if (awsDeniedNames.has(name)) return new HoldpointError('aws-denied', details, { cause: error });
  if (awsBusyNames.has(name) || /request limit exceeded/i.test(cause)) return new HoldpointError('aws-busy', details, { cause: error });
  if (isNetworkError(error) || name === 'TimeoutError' || isUnreadAnswer(error))
    return new HoldpointError('aws-unreachable', details, { cause: error });
  if (name === 'ResourceNotFoundException' && /no cluster found/i.test(cause)) {
    return new HoldpointError('cluster-unknown', { cluster: target.name, region: target.region }, { cause: error });
  }
  if (name === 'DBClusterNotFoundFault') {
    return new HoldpointError('database-unknown', { cluster: target.name, region: target.region }, { cause: error });
  }
  if (httpStatusOf(error) >= 500) return new HoldpointError('aws-busy', details, { cause: error });
  if (isAnswerOfAws(error)) return new HoldpointError('aws-refused', details, { cause: error });
  throw error;
}

/**
 * Reads an error of the Kubernetes client. Throws the error itself where neither the API server nor the way to it has to do with it, as
 * with a TypeError of ours.
 */
export function kubernetesError(error: unknown, call: string, cluster: string): HoldpointError {
  if (error instanceof HoldpointError) return error;
  const details = { call, cluster, cause: withoutFullStop(kubernetesMessage(error)) };
  if (isNetworkError(error)) return new HoldpointError('kubernetes-unreachable', details, { cause: error });
  if (!(error instanceof ApiException)) throw error;
  // Those who deny may answer with any code they like.
  if (isDeniedByAdmission(error)) return new HoldpointError('kubernetes-refused', details, { cause: error });
  if (error.code === 401 || error.code === 403) return new HoldpointError('kubernetes-denied', details, { cause: error });
  if (error.code === 429) return new HoldpointError('kubernetes-busy', details, { cause: error });
  if (error.code >= 500) return new HoldpointError('kubernetes-unreachable', details, { cause: error });
  return new HoldpointError('kubernetes-refused', details, { cause: error });
}

/** As the API server words what webhooks and admission policies deny (k8s.io/apiserver, pkg/admission/plugin). */
const denialByAdmission = /admission webhook ".+" denied the request|AdmissionPolicy '.+' with binding '.+' denied request/s;
/** As it words a lack of rights (pkg/endpoints/handlers/responsewriters, ForbiddenStatusError). */
const denialOfRights = /\bUser ".*" cannot /s;

/**
 * Whether admission has denied a request: a webhook, a policy, or a plugin of the API server (quotas, Pod Security, a namespace that ends).
 * Rights have nothing to do with it, and what is denied now may be let through later.
 */
export function isDeniedByAdmission(error: unknown): boolean {
  if (!(error instanceof ApiException)) return false;
  const message = kubernetesMessage(error);
  if (denialByAdmission.test(message)) return true;
  return error.code === 403 && / is forbidden: | being terminated/.test(message) && !denialOfRights.test(message);
}

/** The message of a Kubernetes Status, or of whatever else was thrown. */
export function kubernetesMessage(error: unknown): string {
  if (!(error instanceof ApiException)) return said(messageOf(error));
  const body: unknown = error.body;
  const text = typeof body === 'string' ? parsedMessage(body) : (body as { message?: unknown } | null)?.message;
  return typeof text === 'string' && text !== '' ? said(text) : `HTTP ${error.code}`;
}

/** Somebody else's message as it is told; cut last, as half of a credential would not be recognised. */
function said(text: string): string {
  return cut(withoutCredentials(text.slice(0, readCharactersMax)), messageCharactersMax);
}

/** The HTTP status of a Kubernetes error; undefined where no answer came. */
export function kubernetesCode(error: unknown): number | undefined {
  return error instanceof ApiException ? error.code : undefined;
}

/**
 * The form in which an error crosses into a workflow: its code as type, its remedy as detail, and no retry
 * where trying again cannot help. Errors that are not ours are told in one sentence, without their stack.
 */
export function toFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  if (error instanceof HoldpointError || error instanceof EvidenceError) {
    return ApplicationFailure.create({
      type: error.code,
      message: error.message,
      // A record that cannot be written holds up its run until somebody has mended it, whatever is wrong with it.
      nonRetryable: error.consequence !== 'retry' && error instanceof HoldpointError,
      details: [{ remedy: error.remedy }],
    });
  }
  return ApplicationFailure.create({
    type: 'unexpected',
    message: `An unexpected error: ${nameOf(error) === 'Error' ? '' : `${nameOf(error)}: `}${said(messageOf(error))}`,
    details: [{ remedy: 'Look at the log of the worker, then try again.' }],
  });
}

function parsedMessage(text: string): unknown {
  try {
    return (JSON.parse(text) as { message?: unknown }).message;
  } catch {
    return text;
  }
}

/** Whether a request came to no answer, or to none that can be read: it may pass by itself. */
function isNetworkError(error: unknown): boolean {
  let cause = error;
  for (let depth = 0; depth < causesMax && typeof cause === 'object' && cause !== null; depth += 1) {
    const { code, type, name, cause: next } = cause as { code?: unknown; type?: unknown; name?: unknown; cause?: unknown };
    if (typeof code === 'string' && (networkCodes.has(code) || networkCodePrefixes.some((prefix) => code.startsWith(prefix)))) return true;
    if (typeof type === 'string' && networkTypes.has(type)) return true;
    if (typeof name === 'string' && networkNames.has(name)) return true;
    cause = next;
  }
  return false;
}

/** What AWS has answered: every exception of its SDK that stands for an answer says whose fault it is. */
function isAnswerOfAws(error: unknown): boolean {
  return typeof error === 'object' && error !== null && '$fault' in error;
}

/** Whether an answer came that the SDK could not read, such as the page of a proxy: it hands the answer over with what was thrown. */
function isUnreadAnswer(error: unknown): boolean {
  return error instanceof Error && '$response' in error && !isAnswerOfAws(error);
}

/** A credential that could not be had, so that nothing was asked; counts as a network error, as it may pass by itself. */
export function credentialMissing(message: string): Error {
  return Object.assign(new Error(message), { code: credentialCode });
}

/** A connection that is given up because nothing comes; counts as a network error. */
export function connectionLost(message: string): Error {
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' });
}

/**
 * What is told of a message of AWS: its first line. Where a signature does not fit, AWS answers with all that was signed, in which there
 * is the token of the session.
 */
function told(error: unknown, name: string): string {
  const [line = ''] = messageOf(error).split('\n');
  const isOfSignature = name === 'InvalidSignatureException' || name === 'SignatureDoesNotMatch';
  const shown = said(line);
  return isOfSignature ? withoutSecrets(shown) : shown;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function httpStatusOf(error: unknown): number {
  return (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode ?? 0;
}

/** Somebody else's message for a sentence that has a full stop of its own. */
export function withoutFullStop(text: string): string {
  return text.trimEnd().replace(/\.$/, '');
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  if (error instanceof Error) return error.message || error.name;
  return String(error);
}
