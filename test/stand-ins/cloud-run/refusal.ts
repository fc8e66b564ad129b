/** Statuses of google.rpc.Code that this API answers with, and their HTTP statuses. */
const HTTP_STATUS = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
} as const;

/** A status by its name in google.rpc.Code. */
export type RunApiStatus = keyof typeof HTTP_STATUS;

/** A request that the API refuses. */
export class RunApiRefusal extends Error {
  override readonly name = 'RunApiRefusal';
  readonly status: RunApiStatus;

  constructor(status: RunApiStatus, message: string) {
    super(message);
    this.status = status;
  }

  /** HTTP status of the answer. */
  get httpStatus(): number {
    return HTTP_STATUS[this.status];
  }

  /** Body of the answer, as Google's APIs write errors (google.aip.dev/193). */
  get body(): unknown {
    return { error: { code: this.httpStatus, message: this.message, status: this.status } };
  }
}
