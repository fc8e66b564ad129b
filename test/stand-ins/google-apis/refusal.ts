/** Names of google.rpc.Code that the stand-ins answer with, and their HTTP statuses. */
const HTTP_STATUS = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ABORTED: 409,
  ALREADY_EXISTS: 409,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
} as const;

/** A request that one of Google's JSON APIs refuses, with the message that the product would give. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: keyof typeof HTTP_STATUS;
  readonly #reason: string | undefined;

  /** @param reason what older clients read beside the status */
  constructor(status: keyof typeof HTTP_STATUS, message: string, reason?: string) {
    super(message);
    this.status = status;
    this.#reason = reason;
  }

  /** HTTP status. */
  get code(): number {
    return HTTP_STATUS[this.status];
  }

  /** The body of the answer. https://google.aip.dev/193 */
  get body(): object {
    const { code, message, status } = this;
    const errors =
      this.#reason === undefined ? {} : { errors: [{ reason: this.#reason, message }] };
    return { error: { code, message, status, ...errors } };
  }
}

/** 403: the project has not enabled the API. */
export function disabled(api: string, where = ''): Refusal {
  const message = `${api} has not been used ${where}before or it is disabled.`;
  return new Refusal('PERMISSION_DENIED', message, 'accessNotConfigured');
}

/** 404: nothing has this name. */
export function notFound(name: string): Refusal {
  return new Refusal('NOT_FOUND', `Resource not found (resource=${name}).`);
}

/** 400: the request says something that cannot be. */
export function invalid(message: string): Refusal {
  return new Refusal('INVALID_ARGUMENT', message);
}
