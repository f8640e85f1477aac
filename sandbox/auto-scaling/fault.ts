/** A refusal of Auto Scaling, by the codes of its API. */
export class AutoScalingFault extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}
