import { request as httpRequest, type Agent, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** One request to one address. */
export interface HttpExchange {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly agent?: Agent;
}

/** Sends a request over Node's own HTTP client; follows nothing, retries nothing. */
export function exchange(url: URL, options: HttpExchange): Promise<IncomingMessage> {
  const { method, headers = {}, body, agent } = options;
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = send(
      url,
      {
        method,
        headers: body === undefined ? headers : { ...headers, 'content-length': body.length },
        ...(agent === undefined ? {} : { agent }),
      },
      resolve,
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Reads a small body. */
export async function textOf(message: IncomingMessage): Promise<string> {
  return (await bytesOf(message)).toString('utf8');
}

/** Reads a body into memory. */
export async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
