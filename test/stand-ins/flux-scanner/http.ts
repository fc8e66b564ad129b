import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** One request. */
export interface HttpRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Certificates that an https server's own is checked against, PEM. */
  readonly certificateAuthority?: string;
  readonly signal?: AbortSignal;
}

/** A whole answer; any status is one. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Sends a request and gives the answer once its head is there; redirects are not followed. */
export function open(url: URL, request: HttpRequest): Promise<IncomingMessage> {
  const { method = 'GET', headers, body, certificateAuthority, signal } = request;
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = send(
      url,
      {
        method,
        // A connection of its own: the server may restart at any time and end kept ones.
        agent: false,
        ...(headers === undefined ? {} : { headers }),
        ...(certificateAuthority === undefined ? {} : { ca: certificateAuthority }),
        ...(signal === undefined ? {} : { signal }),
      },
      resolve,
    );
    sent.once('error', reject);
    sent.end(body);
  });
}

/** Sends a request and reads the whole answer. */
export async function exchange(url: URL, request: HttpRequest = {}): Promise<HttpAnswer> {
  const response = await open(url, request);
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: Buffer.concat(chunks).toString(),
  };
}
