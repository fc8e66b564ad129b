import type { Answer, Handler, RegistryRequest } from './exchange.ts';
import { refusalAnswer } from './exchange.ts';
import { RegistryRefusal } from './refusal.ts';
import { requestKind } from './request-kind.ts';

/** What a quota reads of the switches. */
interface QuotaLimits {
  readonly requestsPerMinute: number;
  readonly pullLimit: number;
}

/** Artifact Registry's quota: so many requests in each minute of the clock, token requests included. */
export function withMinuteQuota(
  handler: Handler,
  limits: () => QuotaLimits,
  clock: () => number,
): Handler {
  let minute = -1;
  let count = 0;
  return async (request) => {
    const limit = limits().requestsPerMinute;
    if (limit === 0) return handler(request);
    const now = Math.floor(clock() / 60_000);
    if (now !== minute) {
      minute = now;
      count = 0;
    }
    if (++count <= limit) return handler(request);
    return refusalAnswer(
      new RegistryRefusal(
        429,
        'TOOMANYREQUESTS',
        "Quota exceeded for quota metric 'Requests per project per user' and limit 'Requests per project per user per minute per user' of service 'artifactregistry.googleapis.com' for consumer 'project_number:123456789012'.",
      ),
    );
  };
}

/** Docker Hub's window of six hours, in seconds. */
const PULL_WINDOW_SECONDS = 21_600;

/** Docker Hub's pull limit: GETs of manifests count, HEADs tell (Docker Hub, "Pull rate limit"). */
export function withPullLimit(handler: Handler, limits: () => QuotaLimits): Handler {
  let pulls = 0;
  return async (request) => {
    const limit = limits().pullLimit;
    if (limit === 0 || requestKind(request.path) !== 'manifest' || !isPull(request)) {
      return handler(request);
    }
    if (request.method === 'GET') pulls++;
    const answer = pulls > limit ? refusalAnswer(tooManyPulls()) : await handler(request);
    return withHeaders(answer, {
      'ratelimit-limit': `${limit};w=${PULL_WINDOW_SECONDS}`,
      'ratelimit-remaining': `${Math.max(limit - pulls, 0)};w=${PULL_WINDOW_SECONDS}`,
      'docker-ratelimit-source': '192.0.2.1',
    });
  };
}

function isPull(request: RegistryRequest): boolean {
  return request.method === 'GET' || request.method === 'HEAD';
}

function tooManyPulls(): RegistryRefusal {
  return new RegistryRefusal(
    429,
    'TOOMANYREQUESTS',
    'You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit',
  );
}

function withHeaders(answer: Answer, headers: Readonly<Record<string, string>>): Answer {
  return { ...answer, headers: { ...answer.headers, ...headers } };
}
