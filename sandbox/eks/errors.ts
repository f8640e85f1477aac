/** Which objects an error is about: fields of the error's body. */
export interface ErrorSubject {
  clusterName?: string | undefined;
  nodegroupName?: string | undefined;
  addonName?: string | undefined;
}

/** An answer that is not a success: the HTTP status, the error type of the API and the fields of the body. */
export class EksError extends Error {
  readonly status: number;
  readonly type: string;
  readonly subject: ErrorSubject;

  constructor(status: number, type: string, message: string, subject: ErrorSubject = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.subject = subject;
  }
}

export function resourceNotFound(message: string, subject?: ErrorSubject): EksError {
  return new EksError(404, 'ResourceNotFoundException', message, subject);
}

export function resourceInUse(message: string, subject?: ErrorSubject): EksError {
  return new EksError(409, 'ResourceInUseException', message, subject);
}

export function invalidParameter(message: string, subject?: ErrorSubject): EksError {
  return new EksError(400, 'InvalidParameterException', message, subject);
}

/** The request does not fit the state that the object is in. */
export function invalidRequest(message: string, subject?: ErrorSubject): EksError {
  return new EksError(400, 'InvalidRequestException', message, subject);
}

export function limitExceeded(message: string, subject?: ErrorSubject): EksError {
  return new EksError(400, 'ResourceLimitExceededException', message, subject);
}

/** What EKS finds speaks against the change; in the words of EKS (https://github.com/hashicorp/terraform-provider-aws/issues/42031). */
export function notReady(kind: 'Upgrade' | 'Rollback', subject?: ErrorSubject): EksError {
  const word = kind.toLowerCase();
  const message =
    `${kind} readiness issues detected. Call the EKS ListInsights API to view ${word} blocking issues detected by EKS. ` +
    `Pass the force flag to override ${word} readiness errors and proceed with ${word}.`;
  return new EksError(400, 'InvalidStateException', message, subject);
}

/** Too many requests: EKS says so in two ways, and only the text of the second one gives it away. */
export function throttled(inOtherWords: boolean): EksError {
  if (inOtherWords) return invalidRequest('Request limit exceeded.');
  return new EksError(400, 'ThrottlingException', 'Rate exceeded');
}

export function serverFailure(): EksError {
  return new EksError(500, 'ServerException', 'Internal server error');
}

/** The tagging operations have error types of their own. */
export function tagTargetNotFound(arn: string): EksError {
  return new EksError(404, 'NotFoundException', `No resource found for ARN: ${arn}`);
}

export function badTagRequest(message: string): EksError {
  return new EksError(400, 'BadRequestException', message);
}
