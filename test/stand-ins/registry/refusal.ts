/** One entry of an error answer (OCI Distribution 1.1, "Error Codes"). */
export interface ErrorEntry {
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
}

/** A request that the registry refuses: becomes an error answer. */
export class RegistryRefusal extends Error {
  override readonly name = 'RegistryRefusal';
  readonly status: number;
  readonly entries: readonly ErrorEntry[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    extras: {
      readonly detail?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
      /** In place of the one entry that the other arguments make. */
      readonly entries?: readonly ErrorEntry[];
    } = {},
  ) {
    super(`${code}: ${message}`);
    this.status = status;
    this.entries = extras.entries ?? [
      { code, message, ...(extras.detail === undefined ? {} : { detail: extras.detail }) },
    ];
    this.headers = extras.headers ?? {};
  }
}

/** Refuses a method that changes something. @throws RegistryRefusal `UNSUPPORTED` */
export function requireReading({ method }: { readonly method: string }, what: string): void {
  if (method === 'GET' || method === 'HEAD') return;
  throw new RegistryRefusal(405, 'UNSUPPORTED', `${method} of a ${what}`);
}
