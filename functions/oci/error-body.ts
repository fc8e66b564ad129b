import { printable } from '../errors.ts';

/** What a registry says in an error's body. */
export interface RegistryErrors {
  /** Codes in upper case, such as `MANIFEST_BLOB_UNKNOWN`; empty where the body is none of OCI's. */
  readonly codes: readonly string[];
  /** One printable line; empty where the body says nothing. */
  readonly message: string;
  /** Digests that messages and details name, each once. */
  readonly digests: readonly string[];
}

/** Most errors of one body that are read; a registry names one per missing blob. */
const MAX_ERRORS = 100;
const DIGESTS = /sha256:[0-9a-f]{64}(?![0-9a-f])|sha512:[0-9a-f]{128}(?![0-9a-f])/g;
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/**
 * Reads an error body (OCI Distribution 1.1, "Error Codes"). Anything else (an HTML page of a
 * proxy) has no codes and its first characters as the message. Never throws.
 */
export function parseErrorBody(body: Buffer): RegistryErrors {
  const text = body.toString('utf8');
  const errors = readErrors(text);
  if (errors.length === 0) return { codes: [], message: printable(text).trim(), digests: [] };
  const codes = errors.flatMap(({ code }) =>
    typeof code === 'string' && CODE.test(code.toUpperCase()) ? [code.toUpperCase()] : [],
  );
  const messages = errors.flatMap(({ message, detail }) => textsOf(message, detail));
  const named = errors.map(({ message, detail }) => JSON.stringify([message, detail])).join(' ');
  return {
    codes: [...new Set(codes)],
    message: printable([...new Set(messages)].join('; ')),
    digests: [...new Set(named.match(DIGESTS) ?? [])],
  };
}

/** What a person can read of an entry: some registries have the reason in the detail alone (Nexus, Artifactory). */
function textsOf(message: unknown, detail: unknown): readonly string[] {
  const { description } = (detail ?? {}) as { readonly description?: unknown };
  const isText = (text: unknown): text is string => typeof text === 'string' && text.includes(' ');
  return [
    ...(typeof message === 'string' ? [message] : []),
    ...[detail, description].filter(isText),
  ];
}

interface ErrorEntry {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly detail?: unknown;
}

function readErrors(text: string): readonly ErrorEntry[] {
  try {
    const parsed: unknown = JSON.parse(text);
    const list = (parsed as { errors?: unknown } | null)?.errors;
    if (!Array.isArray(list)) return [];
    return list
      .slice(0, MAX_ERRORS)
      .filter((entry): entry is ErrorEntry => typeof entry === 'object' && entry !== null);
  } catch {
    return [];
  }
}
