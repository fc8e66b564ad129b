// The yardstick of one big blob: Node's own client, over http or https: GET → sha256 → PUT, and nothing else.
//   node test/bench/node-http.ts SOURCE_BLOB_URL DESTINATION_URL REPOSITORY DIGEST
import { createHash } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const [source = '', destination = '', repository = '', digest = ''] = process.argv.slice(2);

function answerTo(
  method: string,
  url: string,
  headers: Record<string, string> = {},
  body?: NodeJS.ReadableStream,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { request } = url.startsWith('https:') ? https : http;
    const sent = request(url, { method, headers }, resolve);
    sent.once('error', reject);
    if (body === undefined) sent.end();
    else pipeline(body, sent).catch(reject);
  });
}

const begun = await answerTo('POST', `${destination}/v2/${repository}/blobs/uploads/`, {
  'content-length': '0',
});
begun.resume();
const location = new URL(begun.headers.location ?? '', destination);
location.searchParams.set('digest', digest);
const blob = await answerTo('GET', source);
const hash = createHash('sha256');
const hashed = new Transform({
  transform(chunk: Buffer, _encoding, done) {
    hash.update(chunk);
    done(null, chunk);
  },
});
blob.pipe(hashed);
const length = blob.headers['content-length'] ?? '0';
const put = await answerTo('PUT', location.href, { 'content-length': length }, hashed);
put.resume();
if (put.statusCode !== 201 || `sha256:${hash.digest('hex')}` !== digest) process.exitCode = 1;
