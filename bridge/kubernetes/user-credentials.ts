import { execFile, type ExecFileException } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { errorText, MirrorError, printable } from '../../functions/errors.ts';

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
    throw unavailable(`token file ${file} cannot be read: ${printable(errorText(error))}`);
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
        else reject(pluginUnavailable(command, `${reasonOf(error)}; kubectl shows what it says`));
      },
    );
  });
  return heldOf(command, output);
}

/**
 * client.authentication.k8s.io: an ExecCredential; without an expiry that can be read it is good until it is
 * refused.
 */
function heldOf(command: string, output: string): Held {
  const { status } = parsed(command, output);
  const given = {
    token: status?.token ?? '',
    certificate: status?.clientCertificateData ?? '',
    key: status?.clientKeyData ?? '',
  };
  if (given.token === '' && given.certificate === '') {
    throw pluginUnavailable(command, 'gave no credential');
  }
  const untilMs = Date.parse(status?.expirationTimestamp ?? '');
  return {
    credential: Object.fromEntries(Object.entries(given).filter(([, text]) => text !== '')),
    untilMs: Number.isNaN(untilMs) ? Infinity : untilMs,
  };
}

interface ExecCredential {
  readonly status?: Readonly<
    Partial<
      Record<
        'token' | 'clientCertificateData' | 'clientKeyData' | 'expirationTimestamp',
        string | null
      >
    >
  >;
}

function parsed(command: string, output: string): ExecCredential {
  try {
    return (JSON.parse(output) ?? {}) as ExecCredential;
  } catch {
    throw pluginUnavailable(command, 'wrote no JSON');
  }
}

/** Neither its arguments nor what it wrote is told: both may hold a secret. */
function pluginUnavailable(command: string, what: string): MirrorError {
  return unavailable(`credential plugin ${printable(basename(command))} ${what}`);
}

function unavailable(what: string): MirrorError {
  return new MirrorError('CREDENTIALS_UNAVAILABLE', what, {
    operation: 'get credentials for the API server',
    side: 'api-server',
  });
}

/** How a plugin ended; execFile's own message has its arguments and what it wrote. */
function reasonOf({ killed, code, signal }: ExecFileException): string {
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER' || code === 'ABORT_ERR')
    return `failed: ${code}`;
  if (killed === true) return `gave no answer in ${PLUGIN_TIMEOUT_MS / 1000} s`;
  if (typeof signal === 'string') return `was ended by ${signal}`;
  return typeof code === 'number'
    ? `ended with exit code ${code}`
    : `cannot be run: ${String(code)}`;
}
