import { createHash } from 'node:crypto';

import type { Credential } from '../auth/credentials.ts';
import { SingleFlight, timeLimit, type Timing } from '../concurrency.ts';
import { defined } from '../contract/fields.ts';
import { MirrorError } from '../errors.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import type { Answer } from './failure.ts';
import { codeOfStatus } from './failure.ts';
import { redactUrl } from './redact.ts';

/** What faults of a realm say was done. */
export const GET_TOKEN = 'get token';

/** What a token is asked for with; all of it is the key of its cache. */
export interface TokenQuestion {
  readonly realm: URL;
  readonly service: string | undefined;
  /** Sorted scopes, such as `repository:org/app:pull`. */
  readonly scopes: readonly string[];
  /** Undefined: anonymously. */
  readonly credential: Credential | undefined;
}

/** Sends one small request to a realm. */
export type AskRealm = (
  request: {
    readonly method: 'GET' | 'POST';
    readonly url: URL;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: Buffer;
  },
  signal: AbortSignal,
) => Promise<Answer>;

/** A token for one request. */
export interface IssuedToken {
  readonly token: string;
  /** Whether a refusal may only mean that it ended: it was got before, or its request waited long for its turn. */
  readonly mayHaveEnded: () => boolean;
}

/** Bearer tokens of token realms (Docker Registry, "Token Authentication Specification"). */
export interface BearerTokens {
  /**
   * A token that is good for at least the next seconds. Questions of the same key share one answer.
   * @throws MirrorError `UNAUTHORIZED`, `FORBIDDEN`, `RESPONSE_INVALID` and those of the way
   */
  token(question: TokenQuestion, ask: AskRealm, signal: AbortSignal): Promise<IssuedToken>;
  /** The registry refused this token: it is not given out again. */
  forget(token: string): void;
}

/**
 * A token is given out until 60 s before its end, so that the request it goes with still finds it good;
 * one of a short life, of which that would leave too little, for half of it.
 */
const MARGIN_MS = 60_000;
/** The specification's life of a token that tells none. */
const DEFAULT_LIFE_S = 60;
/** Longest life that is believed. */
const MAX_LIFE_MS = 60 * 60_000;
/**
 * Longest wait for a token: an exchange and its retries. A realm that asks for a longer pause is not waited
 * for here, since who wants the token may hold what others wait for.
 */
export const TOKEN_BUDGET_MS = 60_000;
/** Tokens kept; beyond it the oldest is dropped. One per repository and side. */
const MAX_TOKENS = 10_000;

interface Entry {
  readonly token: string;
  readonly goodUntilMs: number;
}

/** A cache of tokens, keyed by realm, service, scope and credential. */
export function bearerTokens(timing: Timing): BearerTokens {
  const entries = new Map<string, Entry>();
  const questions = new SingleFlight<Entry>();

  async function ask(
    key: string,
    question: TokenQuestion,
    realm: AskRealm,
    signal: AbortSignal,
  ): Promise<Entry> {
    const limit = timeLimit(timing, TOKEN_BUDGET_MS);
    try {
      const within = AbortSignal.any([signal, limit.signal]);
      const { token, lifeMs } = await fetchToken(question, realm, within);
      const keptMs = Math.max(lifeMs / 2, lifeMs - MARGIN_MS);
      const entry = { token, goodUntilMs: timing.now() + keptMs };
      entries.set(key, entry);
      const [oldest] = entries.keys();
      if (entries.size > MAX_TOKENS && oldest !== undefined) entries.delete(oldest);
      return entry;
    } finally {
      limit.release();
    }
  }

  return {
    async token(question, realm, signal) {
      const key = cacheKey(question);
      const known = entries.get(key);
      if (known !== undefined && timing.now() < known.goodUntilMs) {
        return { token: known.token, mayHaveEnded: () => true };
      }
      const { value } = await questions.run(key, signal, async (shared) =>
        ask(key, question, realm, shared),
      );
      return { token: value.token, mayHaveEnded: () => timing.now() >= value.goodUntilMs };
    },
    forget(token) {
      for (const [key, entry] of entries) if (entry.token === token) entries.delete(key);
    },
  };
}

/** Different credentials never share a token, and no secret stands in a key. */
function cacheKey({ realm, service, scopes, credential }: TokenQuestion): string {
  const identity =
    credential === undefined
      ? 'anonymous'
      : createHash('sha256').update(JSON.stringify(credential)).digest('hex');
  return JSON.stringify([
    realm.href, // guard: token-cache-realm, without: '',
    service ?? '', // guard: token-cache-service, without: '',
    scopes, // guard: token-cache-scope, without: '',
    identity, // guard: token-cache-credential, without: '',
  ]);
}

interface Issued {
  readonly token: string;
  readonly lifeMs: number;
}

async function fetchToken(
  question: TokenQuestion,
  ask: AskRealm,
  signal: AbortSignal,
): Promise<Issued> {
  const answer = await ask(tokenRequest(question), signal);
  if (answer.status !== 200) throw tokenRefused(question, answer);
  return readToken(answer);
}

/**
 * The fault of a realm that gives no token, in its own words. Whatever the status of a refusal, the
 * realm is there and an operator can mend what it refuses.
 */
function tokenRefused({ credential }: TokenQuestion, answer: Answer): MirrorError {
  const { status } = answer;
  const code = codeOfStatus(status);
  const mendable = code === 'NOT_FOUND' || code === 'REQUEST_REFUSED' ? 'UNAUTHORIZED' : code;
  const { message, codes } = parseErrorBody(answer.body);
  const says = withoutSecrets(message, credential);
  const advice = credential?.kind === 'google' ? credential.advice : undefined;
  return new MirrorError(
    mendable,
    `the token realm answers ${status}${says === '' ? '' : `: ${says}`}${advice === undefined ? '' : `; ${advice}`}`,
    {
      operation: GET_TOKEN,
      status,
      url: redactUrl(answer.url),
      registryCodes: codes,
    },
  );
}

/** Shorter texts stand in any sentence by chance. */
const MIN_SECRET_LENGTH = 4;

/** A realm may repeat what it was sent. */
function withoutSecrets(text: string, credential: Credential | undefined): string {
  if (credential === undefined) return text;
  const secret = credential.kind === 'basic' ? credential.password : credential.token;
  const header = basicHeader(credential)?.slice('Basic '.length) ?? secret;
  return [header, secret]
    .filter((part) => part.length >= MIN_SECRET_LENGTH)
    .reduce((clean, part) => clean.replaceAll(part, 'REDACTED'), text); // guard: token-words, without: .reduce((clean) => clean, text);
}

function tokenRequest(question: TokenQuestion): Parameters<AskRealm>[0] {
  const { realm, service, scopes, credential } = question;
  if (credential?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      service: service ?? realm.host,
      client_id: 'imagerepo-mirror',
      scope: scopes.join(' '),
      refresh_token: credential.token,
    });
    return {
      method: 'POST',
      url: realm,
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: Buffer.from(form.toString()),
    };
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const authorization = basicHeader(credential);
  return {
    method: 'GET',
    url,
    headers: defined({ accept: 'application/json', authorization }),
  };
}

/** The Basic form of a credential; of Google's tokens as `oauth2accesstoken`, as Google documents. */
export function basicHeader(credential: Credential | undefined): string | undefined {
  switch (credential?.kind) {
    case 'basic':
      return encode(credential.username, credential.password);
    case 'google':
      return encode('oauth2accesstoken', credential.token);
    case 'identity':
    case 'registry':
    case undefined:
      return undefined;
  }
}

function encode(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

/** What may stand in an Authorization header; anything else could break out of it. */
const TOKEN_TEXT = /^[\x21-\x7e]+$/;

function readToken({ body, url }: Answer): Issued {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    throw invalid('no JSON', url);
  }
  // Go's clients compare keys without their case.
  const entries: readonly (readonly [string, unknown])[] = Object.entries(parsed ?? {});
  const fields = Object.fromEntries(entries.map(([key, value]) => [key.toLowerCase(), value]));
  const token = [fields['token'], fields['access_token']].find(
    (value): value is string => typeof value === 'string' && value !== '',
  );
  if (token === undefined || !TOKEN_TEXT.test(token)) throw invalid('no usable token', url);
  const life = fields['expires_in'];
  const lifeS =
    typeof life === 'number' && Number.isFinite(life) && life > 0 ? life : DEFAULT_LIFE_S;
  return { token, lifeMs: Math.min(lifeS * 1000, MAX_LIFE_MS) };
}

function invalid(what: string, url: URL): MirrorError {
  return new MirrorError('RESPONSE_INVALID', `the token realm answers with ${what}`, {
    operation: GET_TOKEN,
    url: redactUrl(url),
  });
}
