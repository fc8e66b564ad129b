import {
  MirrorError,
  toMirrorError,
  type ErrorCode,
  type ErrorContext,
  type Side,
} from '../errors.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import { redactUrl } from './redact.ts';

/** A small answer, read whole. */
export interface Answer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly body: Buffer;
  /** The URL that answered, after redirects. */
  readonly url: URL;
  /** What its fault says besides. */
  readonly advice?: string;
}

/** An answer whose body flows. Whoever does not read it to the end calls `discard`. */
export interface OpenAnswer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly url: URL;
  readonly chunks: AsyncIterable<Buffer>;
  readonly discard: () => void;
}

/** Whether an answer still has its body to come. */
export function isOpen(answer: OpenAnswer | Answer): answer is OpenAnswer {
  return 'chunks' in answer;
}

/** What was asked, for errors. */
export interface Asked {
  /** Verb and object: `get manifest`. */
  readonly operation: string;
  readonly side: Side;
}

/** A request to the repository of a client. */
export function asked(
  { client }: { readonly client: Pick<Asked, 'side'> },
  operation: string,
): Asked {
  return { operation, side: client.side };
}

/** Codes of the body that decide before the status does (OCI Distribution 1.1, "Error Codes"). */
const BY_CODE: ReadonlyMap<string, ErrorCode> = new Map([
  ['TOOMANYREQUESTS', 'RATE_LIMITED'],
  ['UNAUTHORIZED', 'UNAUTHORIZED'],
  ['DENIED', 'FORBIDDEN'],
  ['NAME_INVALID', 'REQUEST_REFUSED'],
  ['TAG_INVALID', 'REQUEST_REFUSED'],
]);

/** The fault code of a status without a deciding body. */
export function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 403) return 'FORBIDDEN';
  if (status === 404) return 'NOT_FOUND';
  if (status === 408) return 'TIMEOUT';
  if (status === 429) return 'RATE_LIMITED';
  if (status >= 500) return 'SERVER_ERROR';
  if (status >= 400) return 'REQUEST_REFUSED';
  return 'RESPONSE_INVALID';
}

/**
 * Whether a status may refuse the question as such, where another way to ask passes: HEAD of a manifest, where a
 * GET finds it; a mount, where a plain upload goes (Docker Hub 400, Harbor 401, others).
 */
export function isRefusal(status: number): boolean {
  return status === 501 || (status >= 400 && status < 500 && status !== 408 && status !== 429);
}

/**
 * The fault of an answer that is none of those asked for. A body's code beats the status, unless
 * {@link beatsCode}.
 * @param code what the endpoint knows better
 */
export function failure(
  answer: Answer,
  asked: Asked,
  code?: ErrorCode,
  retryAfterMs?: number,
): MirrorError {
  const errors = parseErrorBody(answer.body);
  const named = errors.codes.map((name) => BY_CODE.get(name)).find((found) => found !== undefined);
  const decided =
    code ?? (beatsCode(answer.status, named) ? undefined : named) ?? codeOfStatus(answer.status);
  const says = errors.codes.length > 0 ? `${errors.codes.join(', ')} ` : '';
  // A HEAD has no body to explain itself with.
  const pause = retryAfterMs === undefined ? '' : longPause(retryAfterMs);
  const message =
    `status ${answer.status}${pause}${errors.message === '' ? '' : `: ${says}${errors.message}`}` +
    (answer.advice === undefined ? '' : `; ${answer.advice}`);
  return new MirrorError(decided, message, {
    operation: asked.operation,
    side: asked.side,
    url: redactUrl(answer.url),
    status: answer.status,
    registryCodes: errors.codes,
    digests: errors.digests,
    retryAfterMs,
  });
}

/** Whether the status says more: a server error stays one, and who is known and denied is not unknown (Artifactory). */
function beatsCode(status: number, named: ErrorCode | undefined): boolean {
  return status >= 500 || (status === 403 && named === 'UNAUTHORIZED');
}

/** Pauses of a minute and more are told to the reader, in the unit that says most. */
function longPause(pauseMs: number): string {
  const minutes = Math.ceil(pauseMs / 60_000);
  if (pauseMs < 60_000) return '';
  const [count, unit] =
    minutes < 120
      ? [minutes, 'minutes']
      : minutes < 48 * 60
        ? [Math.ceil(minutes / 60), 'hours']
        : [Math.ceil(minutes / (24 * 60)), 'days'];
  return `, to be asked again in ${count} ${unit}`;
}

/** A fault of the way there, completed by what was asked; its own words win. */
export function located(fault: MirrorError, asked: Asked, url: URL): MirrorError {
  if (fault.operation !== undefined && fault.side !== undefined && fault.url !== undefined)
    return fault;
  const context: ErrorContext = {
    operation: fault.operation ?? asked.operation,
    side: fault.side ?? asked.side,
    url: fault.url ?? redactUrl(url),
    registryCodes: fault.registryCodes,
    digests: fault.digests,
    status: fault.status,
    field: fault.field,
    retryAfterMs: fault.retryAfterMs,
    cause: fault.cause,
  };
  return new MirrorError(fault.code, fault.message, context);
}

/** Judges an answer: what it is refused for says what was asked, of whom. */
export function judged<T>({ url }: Pick<Answer, 'url'>, asked: Asked, judge: () => T): T {
  try {
    return judge();
  } catch (error) {
    throw located(toMirrorError(error, asked.operation), asked, url);
  }
}
