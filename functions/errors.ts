/**
 * What becomes of the message when work ends with a fault: `transient` asks for redelivery,
 * `permanent` is logged, counted and acknowledged, because repeating it cannot help.
 */
export type Disposition = 'transient' | 'permanent';

/**
 * Who makes a repetition succeed. `nobody`: bytes or grammar, which stay what they are. `operator`:
 * an option, a credential, a permission or a server has to be changed. `time`: it passes.
 */
export type Mender = 'nobody' | 'operator' | 'time';

/** What the table says of a fault. */
export interface ErrorEntry {
  readonly mendedBy: Mender;
  /** `permanent` where nobody can mend it, else `transient`. */
  readonly disposition: Disposition;
  /**
   * What the reader of the log line does next. It promises nothing: whether somebody tries again depends
   * on who failed, a delivery or a command that has given up, and the line's disposition says it.
   */
  readonly advice: string;
  /** What is said instead where the destination failed. */
  readonly atDestination?: ErrorEntry;
  /** What is said instead where Kubernetes' API server failed. */
  readonly atApiServer?: ErrorEntry;
}

/**
 * The one table of fault codes. A code is stable: alerts and runbooks name it.
 * Sources: OCI Distribution 1.1 "Error Codes"; Pub/Sub push acknowledgement rules.
 */
export const ERRORS = {
  // What a user wrote.
  OPTION_INVALID: operator('Correct the option that the message names.'),
  KUBECONFIG_INVALID: operator('Name a readable kubeconfig file with a current context.'),
  ANNOTATION_INVALID: operator('Correct the annotation; the object is not published until then.'),
  DOCKER_CONFIG_INVALID: operator(
    'Provide a docker config with plain auths, no credential helpers (DOCKER_CONFIG_FILE).',
  ),
  REFERENCE_INVALID: nobody('Use a registry/repository name of the OCI grammar.'),
  // What an event carries.
  EVENT_UNDECODABLE: nobody(
    'The message is no JSON CloudEvent; see its copy in the dead-letter topic.',
  ),
  EVENT_INVALID: nobody('The field named by error-field has the wrong shape.'),
  EVENT_TOO_LARGE: nobody(
    'Publish smaller batches: 1 MiB, 1,000 tags, 25 patterns of 512 characters.',
  ),
  SOURCE_FORBIDDEN: operator(
    'Add the source to ALLOWED_SOURCES if it is meant to be mirrored, else annotate its ImageRepository with imagerepo-mirror.io/enabled: "false".',
  ),
  DESTINATION_FORBIDDEN: operator('Add the path to ALLOWED_DESTINATIONS of that namespace.'),
  CONTINUATIONS_EXHAUSTED: operator(
    'Run the job for this repository: it has no deadline of minutes.',
  ),
  // The way to a registry.
  NETWORK: time(
    'The connection failed: where it lasts, check the host, its port and the way there.',
  ),
  TIMEOUT: time('No answer came in time: where it lasts, see what the operator there says.'),
  TLS_REFUSED: operator(
    'The host speaks no TLS on this port: correct the host, or allow plain http.',
  ),
  CERTIFICATE_REFUSED: operator(
    'The certificate is of no known authority, or of another host: see SOURCE_CA_FILE.',
  ),
  ABORTED: time('The work was interrupted before its end.'),
  DEADLINE_EXCEEDED: time('The time that a delivery or a task has ended before the work did.'),
  DELIVERY_TOO_SHORT: operator(
    'The blob takes longer than a whole delivery: let the job copy it (JOB_THRESHOLD_BYTES).',
  ),
  ADDRESS_REFUSED: operator(
    'The host is not a public address; name it in PRIVATE_HOSTS if it may be.',
  ),
  REDIRECT_REFUSED: operator(
    'The registry redirected where credentials or bytes must not go: correct it or its proxy.',
  ),
  REALM_REFUSED: operator(
    'The token realm is not one that this registry may name: correct the registry, or give the realm ' +
      'the same entry in DOCKER_CONFIG_FILE.',
  ),
  PAGINATION_REFUSED: operator(
    'The registry paged its list without end, or with a Link that cannot be read: correct it or its proxy.',
  ),
  INSECURE_REFUSED: operator('An https registry answered with an http address: correct its proxy.'),
  // What a registry answered.
  UNAUTHORIZED: {
    ...operator('Check the credentials for this registry (DOCKER_CONFIG_FILE, ALLOWED_SOURCES).'),
    atDestination: operator('Check the credentials for the destination registry.'),
    atApiServer: operator(
      "Check the service account of the pod, or the token, certificate or plugin of the kubeconfig's user.",
    ),
  },
  FORBIDDEN: {
    ...operator('Give the credentials for this registry the right to pull from the repository.'),
    atDestination: operator(
      'Grant the service account roles/artifactregistry.writer on the destination repository.',
    ),
  },
  NOT_FOUND: {
    ...nobody('The registry does not have it.'),
    atDestination: operator('Create the destination repository, or correct DESTINATION_REGISTRY.'),
    atApiServer: operator(
      'Create what the message names, or correct the server of the kubeconfig.',
    ),
  },
  SOURCE_LOST: operator(
    'The source answers 404 for the whole repository: check that it exists and its credentials.',
  ),
  RATE_LIMITED: time('Less was asked for: at a registry, credentials often raise the limit.'),
  SERVER_ERROR: time('The registry failed: where it lasts, see what its operator says.'),
  RESPONSE_INVALID: time('What answered broke its protocol.'),
  RESPONSE_TOO_LARGE: operator(
    'What answered sent more bytes than its protocol needs: correct it or its proxy.',
  ),
  LIST_TOO_LARGE: nobody(
    'The repository lists more tags than fit into memory: remove those that nobody uses.',
  ),
  REQUEST_REFUSED: operator('The registry refuses the request; its message says why.'),
  // Content.
  TAG_INVALID: nobody('The tag breaks the grammar of OCI Distribution and cannot be addressed.'),
  DIGEST_INVALID: nobody('The digest breaks the grammar of the OCI image specification.'),
  DIGEST_MISMATCH: time('The bytes do not have the announced digest; nothing was published.'),
  SIZE_MISMATCH: time('The bytes do not have the announced size; nothing was published.'),
  MANIFEST_TOO_LARGE: nobody('Manifests over 4 MiB or of over 2,000 layers are not mirrored.'),
  MANIFEST_INVALID: nobody('The manifest is ambiguous or malformed; rebuild the image.'),
  MANIFEST_UNSUPPORTED: nobody('This manifest format is not mirrored.'),
  INDEX_TOO_DEEP: nobody('Indexes are followed 4 levels deep.'),
  GRAPH_TOO_LARGE: nobody('One tag may reach 1,000 manifests.'),
  SOURCE_INCOMPLETE: nobody(
    'The source lacks a part that its manifest names; push the image again.',
  ),
  FOREIGN_LAYER_REFUSED: nobody('The destination wants the bytes of a non-distributable layer.'),
  INDEX_CHILD_REFUSED: nobody('The destination refuses an index whose children are no manifests.'),
  MANIFEST_REFUSED: nobody('The destination refuses the manifest; its message says why.'),
  TAG_IMMUTABLE: nobody('The destination forbids moving this tag; allow it or push a new tag.'),
  DESTINATION_INCOMPLETE: time('The destination lost a blob while it was in use.'),
  TAG_MOVING: time('The source tag moved again and again while it was copied.'),
  // The cloud around.
  CREDENTIALS_UNAVAILABLE: operator('Check the service account, or what the message names.'),
  PUBLISH_FAILED: operator('Check that the topic exists and grants roles/pubsub.publisher.'),
  PULL_FAILED: operator(
    'Check that the subscription exists and grants roles/pubsub.subscriber and roles/pubsub.viewer.',
  ),
  HAND_OFF_FAILED: operator(
    'Check that the job exists and grants roles/run.jobsExecutorWithOverrides.',
  ),
  WATCH_FAILED: time('The API server ended or refused the request; the message says why.'),
  ACCESS_DENIED: operator('Grant the permission that the message names.'),
  LEASE_LOST: time('Another replica leads; this one stands by.'),
  // What must not happen.
  INTERNAL: operator('A defect of imagerepo-mirror: please report it with this line.'),
} as const satisfies Record<string, ErrorEntry>;

/** A stable fault code; see {@link ERRORS} for what each asks of its reader. */
export type ErrorCode = keyof typeof ERRORS;

/** Which side of a copy failed: an operator's first question. */
export type Side = 'source' | 'destination';

/** Where and how a {@link MirrorError} came about. Every URL must be redacted before it comes here. */
export interface ErrorContext {
  /** What was being done, as verb and object: `get manifest`, `publish event`. */
  readonly operation?: string | undefined;
  readonly side?: Side | 'api-server' | undefined;
  /** Redacted URL (no query values but those of the protocol, no upload session). */
  readonly url?: string | undefined;
  /** HTTP status of the answer, where there was one. */
  readonly status?: number | undefined;
  /** Error codes of the registry's answer (OCI Distribution 1.1), where it gave any. */
  readonly registryCodes?: readonly string[];
  /** Digests that the registry names as missing or refused, where it names any. */
  readonly digests?: readonly string[];
  /** Path of the offending field, such as `data.imageRepository.uid` or `--workers`. */
  readonly field?: string | undefined;
  /** How long the other side asked to be left alone, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** The error below, never a raw one of an HTTP library (those carry request headers). */
  readonly cause?: unknown;
}

/**
 * The one error class of the project: a stable code, what was done, on which side, and the cause.
 * The message is one line that reads `operation: what happened (url)`.
 */
export class MirrorError extends Error {
  override readonly name = 'MirrorError';
  readonly code: ErrorCode;
  readonly operation: string | undefined;
  readonly side: ErrorContext['side'];
  readonly url: string | undefined;
  readonly status: number | undefined;
  readonly registryCodes: readonly string[];
  readonly digests: readonly string[];
  readonly field: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.operation = context.operation;
    this.side = context.side;
    this.url = context.url;
    this.status = context.status;
    this.registryCodes = context.registryCodes ?? [];
    this.digests = context.digests ?? [];
    this.field = context.field;
    this.retryAfterMs = context.retryAfterMs;
  }

  /** Who can mend it, by the one table. */
  get mendedBy(): Mender {
    return entryOf(this).mendedBy;
  }

  /** Whether repeating the work later can help, by the one table. */
  get disposition(): Disposition {
    return entryOf(this).disposition;
  }

  /** What the reader does next, by the one table. */
  get advice(): string {
    return entryOf(this).advice;
  }
}

/** Whether `error` is a fault with one of `codes` (any fault where none is given). */
export function isMirrorError(
  error: unknown,
  ...codes: readonly ErrorCode[]
): error is MirrorError {
  return error instanceof MirrorError && (codes.length === 0 || codes.includes(error.code));
}

/** What an error says, without its name, and without its fields, which may be secret. */
export function errorText(error: unknown): string {
  if (error instanceof Error) return error.message;
  return Object(error) === error ? `a thrown ${typeof error}` : String(error);
}

/** `error` itself where it is a fault, else an `INTERNAL` fault with it as its cause. */
export function toMirrorError(error: unknown, operation: string): MirrorError {
  if (error instanceof MirrorError) return error;
  return new MirrorError('INTERNAL', errorText(error), { operation, cause: error });
}

/**
 * What acts on a terminal or breaks a line instead of being shown: control characters (C0, DEL, C1),
 * line and paragraph separators, and the marks, embeddings and isolates of writing direction
 * (Unicode Standard Annex 9, "Directional Formatting Characters").
 */
const ACTING = String.raw`\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069`;
const ACTING_RUNS = new RegExp(`[${ACTING}]+`, 'g');
const ACTING_IN_LINES = new RegExp(`(?!\n)[${ACTING}]`, 'g');

/**
 * Text of another party made fit for a log line, an error or a view: control characters are
 * removed and it is cut at 512 characters.
 */
export function printable(text: string): string {
  const clean = oneLine(text);
  // guard: text-length
  if (clean.length > 512) return `${clean.slice(0, 511)}…`;
  return clean;
}

/** Text of any length without what acts on a terminal or breaks the line. */
export function oneLine(text: string): string {
  return text.replace(ACTING_RUNS, ' '); // guard: control-characters, without: return text;
}

/**
 * JSON in which nothing acts on a terminal, whatever the strings in it: it is escaped, so that a
 * parser reads the same values.
 */
export function shownJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    ACTING_IN_LINES, // guard: control-characters, without: /$^/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function entryOf({ code, side }: Pick<MirrorError, 'code' | 'side'>): ErrorEntry {
  const entry: ErrorEntry = ERRORS[code];
  if (side === 'api-server') return entry.atApiServer ?? entry;
  return side === 'destination' ? (entry.atDestination ?? entry) : entry;
}

function nobody(advice: string): ErrorEntry & { readonly mendedBy: 'nobody' } {
  return { mendedBy: 'nobody', disposition: 'permanent', advice };
}

function operator(advice: string): ErrorEntry & { readonly mendedBy: 'operator' } {
  return { mendedBy: 'operator', disposition: 'transient', advice };
}

function time(advice: string): ErrorEntry & { readonly mendedBy: 'time' } {
  return { mendedBy: 'time', disposition: 'transient', advice };
}
