import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';

import { defined } from '../../functions/contract/fields.ts';
import { MirrorError, printable } from '../../functions/errors.ts';

/** A program that gives credentials (client.authentication.k8s.io, `user.exec` of a kubeconfig). */
export interface CredentialPlugin {
  readonly command: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
  readonly apiVersion?: string;
}

/** Where a user's credentials come from; a token file goes before a plugin, as in kubectl. */
export interface UserCredentials {
  /** Absolute path of a file with a bearer token. */
  readonly tokenFile?: string | undefined;
  readonly plugin?: CredentialPlugin | undefined;
}

/** What is sent with a request; empty where the kubeconfig itself holds what is needed. */
export interface Credential {
  readonly token?: string;
  /** PEM. */
  readonly certificate?: string;
  /** PEM. */
  readonly key?: string;
}

/** As client-go: a token file is read again after a minute, since tokens in it are rotated. */
const FILE_AGE_MS = 60_000;
/** A plugin asks a cloud for a token, which takes seconds; one that hangs is ended. */
const PLUGIN_TIMEOUT_MS = 30_000;
/** Far more than a token and a certificate chain. */
const MAX_PLUGIN_BYTES = 1024 * 1024;

interface Held {
  readonly credential: Credential;
  /** Wall clock, ms. */
  readonly untilMs: number;
}

/** The credentials of one user, kept as long as they are good. */
export class CredentialSource {
  readonly #ended = new AbortController();
  #held: Held | undefined;
  #reading: Promise<Held> | undefined;

  /**
   * The credential for a request; all that ask at once share one reading.
   * @throws MirrorError `CREDENTIALS_UNAVAILABLE`
   */
  async get(from: UserCredentials): Promise<Credential> {
    if (this.#held !== undefined && Date.now() < this.#held.untilMs) return this.#held.credential;
    this.#reading ??= this.#read(from).finally(() => {
      this.#reading = undefined;
    });
    this.#held = await this.#reading;
    return this.#held.credential;
  }

  /** The API server refused them: they are read anew. */
  forget(): void {
    this.#held = undefined;
  }

  /** Ends a plugin that is running. */
  close(): void {
    this.#ended.abort();
  }

  async #read({ tokenFile, plugin }: UserCredentials): Promise<Held> {
    if (tokenFile !== undefined) return readToken(tokenFile);
    if (plugin !== undefined) return runPlugin(plugin, this.#ended.signal);
    return { credential: {}, untilMs: Infinity };
  }
}

async function readToken(file: string): Promise<Held> {
  try {
    const token = (await readFile(file, 'utf8')).trim();
    if (token === '') throw new Error('it is empty');
    return { credential: { token }, untilMs: Date.now() + FILE_AGE_MS };
  } catch (error) {
    throw unavailable(`token file ${file} cannot be read`, error);
  }
}

async function runPlugin(plugin: CredentialPlugin, signal: AbortSignal): Promise<Held> {
  const { command, args, env, apiVersion = 'client.authentication.k8s.io/v1' } = plugin;
  const request = { apiVersion, kind: 'ExecCredential', spec: { interactive: false } };
  const own = Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]));
  const output = await new Promise<string>((resolve, reject) => {
    execFile(
      command,
      [...(args ?? [])],
      {
        signal,
        timeout: PLUGIN_TIMEOUT_MS,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_PLUGIN_BYTES,
        env: { ...process.env, ...own, KUBERNETES_EXEC_INFO: JSON.stringify(request) },
      },
      (error, stdout) => {
        if (error === null) resolve(stdout);
        else reject(unavailable(`credential plugin ${command} failed`, error));
      },
    );
  });
  return heldOf(command, output);
}

/** client.authentication.k8s.io: an ExecCredential; without an expiry it is good until it is refused. */
function heldOf(command: string, output: string): Held {
  const { status } = parsed(command, output);
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = status ?? {};
  if (token === undefined && clientCertificateData === undefined) {
    throw unavailable(`credential plugin ${command} gave no credential`);
  }
  const untilMs = expirationTimestamp === undefined ? Infinity : Date.parse(expirationTimestamp);
  return {
    credential: defined({ token, certificate: clientCertificateData, key: clientKeyData }),
    untilMs,
  };
}

interface ExecCredential {
  readonly status?: {
    readonly token?: string;
    readonly clientCertificateData?: string;
    readonly clientKeyData?: string;
    readonly expirationTimestamp?: string;
  };
}

function parsed(command: string, output: string): ExecCredential {
  try {
    return (JSON.parse(output) ?? {}) as ExecCredential;
  } catch {
    // What it wrote may hold a secret.
    throw unavailable(`credential plugin ${command} wrote no JSON`);
  }
}

function unavailable(what: string, error?: unknown): MirrorError {
  const reason = error instanceof Error ? `: ${reasonOf(error)}` : '';
  return new MirrorError('CREDENTIALS_UNAVAILABLE', `${what}${reason}`, {
    operation: 'get credentials for the API server',
  });
}

function reasonOf(error: Error & { readonly killed?: boolean }): string {
  if (error.killed === true) return `no answer in ${PLUGIN_TIMEOUT_MS / 1000} s`;
  return printable(error.message).trim();
}
