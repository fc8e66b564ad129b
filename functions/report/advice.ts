import { ERRORS, type MirrorError, type ErrorCode, type Side } from '../errors.ts';

/** What of a fault decides what is advised. */
export type Failed = Pick<MirrorError, 'code' | 'side' | 'url'>;

/** Advice to the person who typed a command: at the source, and at the destination. */
interface Advice {
  readonly source: string;
  readonly destination: string;
}

const AGAIN = 'Run the command again.';

/**
 * What the reader of a log line need not be told, who has a service that tries again and an operator's
 * options in the environment: the options of the command, and what it is that ended here.
 */
const AT_A_TERMINAL: Partial<Record<ErrorCode, Advice>> = {
  NETWORK: {
    source: 'Check the host and the port in --image, and that this machine reaches them.',
    destination:
      'Check the host and the port in --destination-registry, and that this machine reaches them.',
  },
  TIMEOUT: {
    source: `The host in --image does not answer in time. ${AGAIN}`,
    destination: `The host in --destination-registry does not answer in time. ${AGAIN}`,
  },
  TLS_REFUSED: {
    source:
      'If the source speaks plain http, say --insecure-source HOST/*; else check the port in --image.',
    destination:
      'If the destination speaks plain http, say --insecure-destination; else check the port in --destination-registry.',
  },
  CERTIFICATE_REFUSED: {
    source: 'If the certificate is right, name its authority with --source-ca-file FILE.',
    destination:
      'If the certificate is right, name its authority in the variable NODE_EXTRA_CA_CERTS; else check --destination-registry.',
  },
  UNAUTHORIZED: {
    source:
      'Give credentials for the source: --docker-config FILE with an entry for its host; for a registry of Google, ' +
      'gcloud auth application-default login.',
    destination:
      'Give credentials for the destination: --docker-config FILE with an entry for its host; for a registry of ' +
      'Google, gcloud auth application-default login.',
  },
  FORBIDDEN: {
    source:
      'The credentials (--docker-config) may not pull this repository, or --image names another one.',
    destination:
      'The credentials (--docker-config, or your login at Google) may not push there, or --destination-registry ' +
      'names another place.',
  },
  NOT_FOUND: {
    source: 'Check the repository in --image.',
    destination: 'Create the repository at the destination, or correct --destination-registry.',
  },
  CREDENTIALS_UNAVAILABLE: {
    source: 'Log in to Google: gcloud auth application-default login; or use --docker-config FILE.',
    destination:
      'Log in to Google: gcloud auth application-default login; or check --destination-registry.',
  },
  DOCKER_CONFIG_INVALID: {
    source: 'Correct the file of --docker-config: plain auths, no credential helpers.',
    destination: 'Correct the file of --docker-config: plain auths, no credential helpers.',
  },
  ADDRESS_REFUSED: {
    source: 'Name the host with --private-host if it may have a private address.',
    destination: 'Name the host with --private-host if it may have a private address.',
  },
  REALM_REFUSED: {
    source:
      'If the token service is meant, give its host the same entry in the file of --docker-config.',
    destination:
      'If the token service is meant, give its host the same entry in the file of --docker-config.',
  },
  RATE_LIMITED: {
    source: 'Run the command again later; credentials (--docker-config) often raise the limit.',
    destination: 'Run the command again later.',
  },
  SERVER_ERROR: both('The registry failed. Run the command again later.'),
  RESPONSE_INVALID: {
    source:
      'What answers is no registry, or breaks its protocol: check the host and the port in --image.',
    destination:
      'What answers is no registry, or breaks its protocol: check the host and the port in --destination-registry.',
  },
  ABORTED: both(`The command was interrupted. ${AGAIN}`),
  DEADLINE_EXCEEDED: both(AGAIN),
  DIGEST_MISMATCH: both(`The bytes have another digest; nothing was published. ${AGAIN}`),
  SIZE_MISMATCH: both(`The bytes have another size; nothing was published. ${AGAIN}`),
  DESTINATION_INCOMPLETE: both(`The destination lost a blob while it was in use. ${AGAIN}`),
  TAG_MOVING: both(`The tag kept moving at the source. ${AGAIN}`),
};

/** What a person at a terminal does about a fault: one sentence or two, with the option's name. */
function adviceOf({ code, side, url }: Failed): string {
  const own = AT_A_TERMINAL[code];
  if (own === undefined) return ERRORS[code].advice;
  const at: Side = side === 'destination' ? side : 'source';
  // Loopback is spoken to so, whatever is said; elsewhere somebody asked for it.
  const plain = url?.startsWith('http://') === true && WAYS.has(code);
  return plain
    ? `${own[at]} It was spoken to over plain http, as loopback is and what --insecure-${at} names.`
    : own[at];
}

/** Faults that come of speaking http to a server of TLS. */
const WAYS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['NETWORK', 'TIMEOUT', 'RESPONSE_INVALID']);

/** Counts what failed in a run, by what is advised. */
export class AdviceTally {
  readonly #counts = new Map<string, { readonly name: string; count: number }>();

  /** A tag, or a repository as a whole, failed so. */
  fault(fault: Failed): void {
    const where = fault.side === undefined ? '' : ` at the ${fault.side}`;
    this.#add(`${fault.code}${where}`, adviceOf(fault));
  }

  /** The source has no such repository. */
  repositoryLost(): void {
    this.#add(
      'no such repository',
      'Check the repository in --image; a private one may hide from who gives no --docker-config.',
    );
  }

  /** The source has no such tag. */
  tagLost(): void {
    this.#add('no such tag', 'Check --tag; a tag may also have been deleted since it was listed.');
  }

  /** One line a kind, in the order in which they came. */
  get lines(): readonly string[] {
    return [...this.#counts].map(([advice, { name, count }]) => `${name} (${count}): ${advice}`);
  }

  #add(name: string, advice: string): void {
    const known = this.#counts.get(advice);
    if (known === undefined) this.#counts.set(advice, { name, count: 1 });
    else known.count += 1;
  }
}

function both(advice: string): Advice {
  return { source: advice, destination: advice };
}
