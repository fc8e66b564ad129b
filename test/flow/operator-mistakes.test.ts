import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { isIPv4, type AddressInfo } from 'node:net';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { startRegistries, type Registries } from '../functions/registries.ts';
import { runEntry, type Ended } from './entry.ts';

const TIMEOUT = { timeout: 60_000 };
const FOREVER = Number.POSITIVE_INFINITY;

/** A small server of the test's own. */
interface Server {
  readonly port: number;
  close(): void;
}

/** A certificate of openssl's for these names, and its key. */
function selfSignedCertificate(...names: readonly string[]): { key: string; cert: string } {
  const alternatives = names.map((name) => `${isIPv4(name) ? 'IP' : 'DNS'}:${name}`).join(',');
  const options =
    '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout - -out -';
  const pem = execFileSync(
    'openssl',
    [
      'req',
      ...options.split(' '),
      '-subj',
      '/CN=test',
      '-addext',
      `subjectAltName=${alternatives}`,
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  return { key: pem, cert: pem };
}

async function serve(answer: RequestListener, tls = false): Promise<Server> {
  const server = tls
    ? createTlsServer(selfSignedCertificate('localhost', '127.0.0.1', hostname()), answer)
    : createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** A name of this machine that is not loopback's: TLS is spoken to it, and it leads to 127.0.0.1. */
async function ownName(): Promise<string | undefined> {
  const found = await lookup(hostname(), { all: true }).catch(() => []);
  const own = Object.values(networkInterfaces()).flatMap((one) => one ?? []);
  const ours = found.every(({ address }) => own.some((one) => one.address === address));
  return ours && found.some(({ address }) => address === '127.0.0.1') ? hostname() : undefined;
}

/** What nobody at a terminal is to read: of a service that tries again, or of a library's insides. */
const NEVER_SAID =
  /tried again|next delivery|sent again|service account|SSL routines|error:[0-9A-F]{8}|\.ts:\d|node:internal/i;

/** Side, paths, status and code of the error. */
type Refusal = readonly ['source' | 'destination', path: RegExp, status: number, code?: string];

interface Mistake {
  readonly name: string;
  readonly argv: () => readonly string[];
  /** What a registry answers. */
  readonly refused?: Refusal;
  readonly env?: () => Readonly<Record<string, string>>;
  /** Exit code. Default 1. */
  readonly code?: 2;
  /** What the one line on standard error says. */
  readonly says: RegExp;
}

const name = await ownName();

/** A port below those that a system gives out by itself, and of a service (tcpmux) that nobody has. */
const CLOSED_PORT = 1;

describe('mistakes of an operator', { concurrency: 3 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'mistakes-'));
  let registries: Registries;
  let plain: Server;
  let secure: Server;
  let page: Server;
  let asking: Server;

  before(async () => {
    registries = await startRegistries();
    plain = await serve((_request, response) => response.writeHead(404).end());
    secure = await serve((_request, response) => response.writeHead(404).end(), true);
    page = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>a page</html>');
    });
    asking = await serve((_request, response) => {
      const challenge = 'Bearer realm="http://tokens.example/token",service="x"';
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
  });
  after(async () => {
    for (const server of [plain, secure, page, asking]) server.close();
    await registries.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const source = (repository = 'demo/api'): string => `${registries.source.host}/${repository}`;
  const into = (path: string): string => `${registries.destination.host}/${path}`;
  const copy = (image: string, registry: string, ...more: readonly string[]): readonly string[] => [
    ...['--image', image, '--destination-registry', registry],
    ...['--destination-layout', 'path', ...more],
  ];
  const file = (text: string): string => {
    const path = join(mkdtempSync(join(folder, 'f-')), 'file');
    writeFileSync(path, text);
    return path;
  };
  const refuse = (...[side, path, status, code]: Refusal): void => {
    const errors = code === undefined ? {} : { errors: [{ code, message: 'refused' }] };
    const effect = { kind: 'answer', status, ...errors } as const;
    registries[side].faults.add({ path, times: FOREVER, effect });
  };
  const run = async (
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Ended> =>
    runEntry('functions/job.ts', argv, { METADATA_SERVER_DETECTION: 'none', HOME: folder, ...env });

  const mistakes: readonly Mistake[] = [
    {
      name: 'the wrong port of the source',
      argv: () => copy(`localhost:${CLOSED_PORT}/demo/api`, into('a')),
      says: /^NETWORK at the source .*--image/m,
    },
    {
      name: 'a typo in the host of the source',
      argv: () => copy('registry.invalid/demo/api', into('a')),
      says: /^NETWORK at the source .*--image/m,
    },
    {
      name: 'the wrong port of the destination',
      argv: () => copy(source(), `localhost:${CLOSED_PORT}/m`),
      says: /^NETWORK at the destination .*--destination-registry/m,
    },
    {
      name: 'a typo in the host of the destination',
      argv: () => copy(source(), 'registry.invalid/m'),
      says: /^NETWORK at the destination .*--destination-registry/m,
    },
    {
      name: 'loopback that speaks TLS',
      argv: () => copy(`localhost:${secure.port}/demo/api`, into('a')),
      says: /^NETWORK at the source .*--image.* plain http/m,
    },
    {
      name: 'a page in place of a registry',
      argv: () => copy(`localhost:${page.port}/demo/api`, into('a')),
      says: /^RESPONSE_INVALID at the source .*--image/m,
    },
    {
      name: 'a repository that is not there',
      argv: () => copy(source('demo/absent'), into('a')),
      says: /^no such repository .*--image/m,
    },
    {
      name: 'a tag that is not there',
      argv: () => copy(source(), into('b'), '--tag', 'absent'),
      says: /^no such tag .*--tag/m,
    },
    {
      name: 'a private source, asked anonymously',
      refused: ['source', /demo\/web\//, 401, 'UNAUTHORIZED'],
      argv: () => copy(source('demo/web'), into('a')),
      says: /^UNAUTHORIZED at the source .*--docker-config/m,
    },
    {
      name: 'a source that these credentials may not pull',
      refused: ['source', /demo\/legacy\//, 403, 'DENIED'],
      argv: () => copy(source('demo/legacy'), into('a')),
      says: /^FORBIDDEN at the source .*--docker-config/m,
    },
    {
      name: 'a source that may be neither listed nor pulled, with --tag',
      refused: ['source', /demo\/ledger\//, 403, 'DENIED'],
      argv: () => copy(source('demo/ledger'), into('a'), '--tag', '1.0.0'),
      says: /^FORBIDDEN at the source .*--docker-config/m,
    },
    {
      name: 'a source that fails',
      refused: ['source', /demo\/chart\//, 503],
      argv: () => copy(source('demo/chart'), into('a')),
      says: /^SERVER_ERROR at the source .*Run the command again later/m,
    },
    {
      name: 'a destination without credentials',
      refused: ['destination', /\/anonymous\//, 401, 'UNAUTHORIZED'],
      argv: () => copy(source(), into('anonymous')),
      says: /^UNAUTHORIZED at the destination .*--docker-config/m,
    },
    {
      name: 'a destination that these credentials may not push to',
      refused: ['destination', /\/readonly\/.*uploads/, 403, 'DENIED'],
      argv: () => copy(source(), into('readonly')),
      says: /^FORBIDDEN at the destination .*--destination-registry/m,
    },
    {
      name: 'a destination repository that is not there',
      refused: ['destination', /\/absent\/.*uploads/, 404, 'NAME_UNKNOWN'],
      argv: () => copy(source(), into('absent')),
      says: /^NOT_FOUND at the destination .*--destination-registry/m,
    },
    {
      name: 'a token service without TLS elsewhere',
      argv: () => copy(`localhost:${asking.port}/demo/api`, into('a')),
      says: /^REALM_REFUSED.*--docker-config/m,
    },
    {
      name: 'a destination of Google without any login',
      env: () => ({ GOOGLE_REGISTRY_HOSTS: registries.destination.host }),
      argv: () => copy(source(), into('google')),
      says: /^CREDENTIALS_UNAVAILABLE.*gcloud auth application-default login/m,
    },
    {
      name: 'a subscription of a broker that is not there',
      env: () => ({ PUBSUB_EMULATOR_HOST: `127.0.0.1:${CLOSED_PORT}`, GOOGLE_CLOUD_PROJECT: 'p' }),
      argv: () => ['--drain', 'absent', '--destination-registry', into('a')],
      says: /^pull absent: /m,
    },
    ...(name === undefined
      ? []
      : ([
          {
            name: 'a source without TLS',
            argv: () => copy(`${name}:${plain.port}/demo/api`, into('a')),
            says: /^TLS_REFUSED at the source .*--insecure-source/m,
          },
          {
            name: 'a destination without TLS',
            argv: () => copy(source(), `${name}:${plain.port}/m`),
            says: /^TLS_REFUSED at the destination .*--insecure-destination/m,
          },
          {
            name: 'a source with a certificate of its own',
            argv: () => copy(`${name}:${secure.port}/demo/api`, into('a')),
            says: /^CERTIFICATE_REFUSED at the source .*--source-ca-file/m,
          },
          {
            name: 'a destination with a certificate of its own',
            argv: () => copy(source(), `${name}:${secure.port}/m`),
            says: /^CERTIFICATE_REFUSED at the destination .*NODE_EXTRA_CA_CERTS/m,
          },
        ] satisfies readonly Mistake[])),
    {
      name: 'a docker config that is not there',
      argv: () => copy(source(), into('a'), '--docker-config', join(folder, 'absent')),
      code: 2,
      says: /--docker-config.*ENOENT/,
    },
    {
      name: 'a docker config of Docker Desktop',
      argv: () => copy(source(), into('a'), '--docker-config', file('{"credsStore":"desktop"}')),
      code: 2,
      says: /--docker-config.*credential helper/,
    },
    {
      name: 'an authority that is no certificate',
      argv: () => copy(source(), into('a'), '--source-ca-file', file('')),
      code: 2,
      says: /--source-ca-file.*no certificate/,
    },
    {
      name: 'a scheme in the image',
      argv: () => copy('https://ghcr.io/org/app', into('a')),
      code: 2,
      says: /^--image .*scheme/,
    },
    {
      name: 'a tag in the image',
      argv: () => copy('ghcr.io/org/app:1.0', into('a')),
      code: 2,
      says: /^--image .*tag/,
    },
    {
      name: 'a scheme in the destination',
      argv: () => copy('alpine', 'https://localhost:5000'),
      code: 2,
      says: /^--destination-registry .*scheme/,
    },
    {
      name: 'no destination',
      argv: () => ['--image', 'alpine'],
      code: 2,
      says: /^--destination-registry .*empty/,
    },
    { name: 'nothing to do', argv: () => [], code: 2, says: /^--image is required/ },
    {
      name: 'a typo in a flag',
      argv: () => ['--imag', 'alpine'],
      code: 2,
      says: /^--imag is no option: did you mean --image/,
    },
    {
      name: 'a flag without its value',
      argv: () => ['--image', '--dry-run'],
      code: 2,
      says: /^--image wants a value/,
    },
    {
      name: 'an image of the destination',
      argv: () => copy(into('m/app'), into('m')),
      code: 2,
      says: /^--image .*destination/,
    },
  ];

  it(
    'copies a named tag of a source that may not be listed, and says what stays behind',
    TIMEOUT,
    async () => {
      refuse('source', /demo\/ledger\/tags/, 403, 'DENIED');
      const ended = await run(copy(source('demo/ledger'), into('unlisted'), '--tag', '1.0.0'));
      assert.equal(ended.code, 0, ended.stderr);
      assert.match(ended.stdout, /no signatures by tag: the source's list is FORBIDDEN/);
    },
  );

  for (const { name: what, argv, refused, env, code = 1, says } of mistakes) {
    it(`answers ${what} with one line that says what to do`, TIMEOUT, async () => {
      if (refused !== undefined) refuse(...refused);
      const ended = await run(argv(), env?.());
      const all = `${ended.stdout}\n${ended.stderr}`;
      assert.equal(ended.code, code, all);
      assert.match(ended.stderr, says);
      assert.doesNotMatch(all, NEVER_SAID);
      const advice = ended.stderr.split('\n').filter((line) => /^[\w ]+\(\d+\): /.test(line));
      assert.equal(advice.length, code === 2 || argv()[0] === '--drain' ? 0 : 1, ended.stderr);
      if (code === 2) assert.equal(ended.stderr.split('\n').length, 2, ended.stderr);
    });
  }

  it("reads Google's public images anonymously, without any login", TIMEOUT, async () => {
    const env = { GOOGLE_REGISTRY_HOSTS: registries.source.host };
    const { code, stdout, stderr } = await run(copy(source(), into('public')), env);
    assert.equal(code, 0, stdout + stderr);
  });
});
