import type { JsonObject } from './object.ts';

/** One field that was found wrong. */
export interface Cause {
  readonly reason: string;
  readonly message: string;
  /** Path of the field; absent where the cause is no field's. */
  readonly field?: string;
}

/** What an object or a resource is called in messages and details. */
export interface Named {
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
}

/** Which object, and what is added, to a `Status`. */
interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly Cause[];
  readonly retryAfterSeconds?: number;
}

/**
 * An answer other than success: HTTP status and the `Status` object that Kubernetes sends with it
 * (Kubernetes API conventions, "Response Status Kind").
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  /** Token to go on with, where a list's own has expired. */
  readonly continueToken: string | undefined;

  constructor(
    code: number,
    reason: string,
    message: string,
    details?: StatusDetails,
    continueToken?: string,
  ) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.continueToken = continueToken;
  }

  /** The `Status` object of the answer. */
  get status(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.continueToken === undefined ? {} : { continue: this.continueToken },
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

/** `imagerepositories.image.toolkit.fluxcd.io`, or only the plural in the core group. */
export function qualified({ plural, group }: Named): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/** A field whose value breaks a rule. */
export function invalidValue(field: string, value: unknown, rule: string): Cause {
  const message = `Invalid value: ${JSON.stringify(value)}: ${rule}`;
  return { reason: 'FieldValueInvalid', message, field };
}

/** A field that must be there. */
export function required(field: string, message = 'Required value'): Cause {
  return { reason: 'FieldValueRequired', message, field };
}

/** Which object, or which resource, a `Status` is about. */
export function detailsOf(resource: Named, name?: string): StatusDetails {
  return {
    ...(name === undefined ? {} : { name }),
    ...(resource.group === '' ? {} : { group: resource.group }),
    kind: resource.plural,
  };
}

/** 404 for an object. */
export function notFound(resource: Named, name: string): Refusal {
  const message = `${qualified(resource)} "${name}" not found`;
  return new Refusal(404, 'NotFound', message, detailsOf(resource, name));
}

/** 409 for a name that is taken. */
export function alreadyExists(resource: Named, name: string): Refusal {
  const message = `${qualified(resource)} "${name}" already exists`;
  return new Refusal(409, 'AlreadyExists', message, detailsOf(resource, name));
}

/** 409 for a stale resourceVersion or a precondition that does not hold. */
export function conflict(
  resource: Named,
  name: string,
  why = 'the object has been modified; please apply your changes to the latest version and try again',
): Refusal {
  const message = `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${why}`;
  return new Refusal(409, 'Conflict', message, detailsOf(resource, name));
}

/** 422 with the fields that are wrong. */
export function invalid(
  { group, kind }: Pick<Named, 'group' | 'kind'>,
  name: string,
  causes: readonly Cause[],
): Refusal {
  const qualifiedKind = group === '' ? kind : `${kind}.${group}`;
  const each = causes.map(({ field = '', message }) => `${field}: ${message}`);
  const list = each.length === 1 ? (each[0] ?? '') : `[${each.join(', ')}]`;
  return new Refusal(422, 'Invalid', `${qualifiedKind} "${name}" is invalid: ${list}`, {
    ...(name === '' ? {} : { name }),
    ...(group === '' ? {} : { group }),
    kind,
    causes,
  });
}

/** 400. */
export function badRequest(message: string): Refusal {
  return new Refusal(400, 'BadRequest', message);
}

/** 401 for a token that is unknown or has expired. */
export function unauthorized(): Refusal {
  return new Refusal(401, 'Unauthorized', 'Unauthorized');
}

/** 405 for a verb that the path does not know. */
export function methodNotAllowed(): Refusal {
  return new Refusal(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  );
}

/** 410 for a resourceVersion that the history does not reach back to. */
export function expired(wanted: number, oldest: number): Refusal {
  return new Refusal(410, 'Expired', `too old resource version: ${wanted} (${oldest})`);
}

/** 410 for the rest of a list that was begun too long ago; `next` continues with today's objects. */
export function continueExpired(next: string): Refusal {
  const message =
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';
  return new Refusal(410, 'Expired', message, undefined, next);
}

/** 415 for a patch format that the resource does not take. */
export function unsupportedMediaType(accepted: readonly string[]): Refusal {
  return new Refusal(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
    {},
  );
}

/** Whether the history did not reach back far enough. */
export function isExpired(error: unknown): boolean {
  return error instanceof Refusal && error.code === 410;
}
