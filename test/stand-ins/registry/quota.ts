import type { Answer, Handler, RegistryRequest } from './exchange.ts';
import { refusalAnswer } from './exchange.ts';
import { RegistryRefusal } from './refusal.ts';
import { requestKind } from './request-kind.ts';

/** Docker Hub's window of six hours, in seconds. */
const PULL_WINDOW_SECONDS = 21_600;

/** Docker Hub's pull limit: GETs of manifests count, HEADs tell (Docker Hub, "Pull rate limit"). */
export function withPullLimit(
  handler: Handler,
  limits: () => { readonly pullLimit: number },
): Handler {
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
