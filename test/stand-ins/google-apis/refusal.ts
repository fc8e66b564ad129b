/** An answer that refuses: HTTP status, canonical code and the message that the product would give. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** The body of Google's JSON APIs. https://google.aip.dev/193 */
  body(): unknown {
    return {
      error: {
        code: this.status,
        message: this.message,
        status: this.code,
        ...(this.code === 'SERVICE_DISABLED'
          ? {
              status: 'PERMISSION_DENIED',
              errors: [{ reason: 'accessNotConfigured', message: this.message }],
            }
          : {}),
      },
    };
  }
}

/** 404: nothing has this name. */
export function notFound(name: string): Refusal {
  return new Refusal(404, 'NOT_FOUND', `Resource not found (resource=${name}).`);
}

/** 400: the request says something that cannot be. */
export function invalid(message: string): Refusal {
  return new Refusal(400, 'INVALID_ARGUMENT', message);
}
