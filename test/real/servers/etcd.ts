import { freePort } from '../../stand-ins/child.ts';
import { findProgram, type Found, type Search } from './found.ts';
import { startServerIn } from './server.ts';

/** A running etcd. */
export interface Etcd {
  /** Address of its clients. */
  readonly url: string;
  /** Compacts all history up to now: an API server that reads an older revision answers 410 Gone from then on. */
  compact(): Promise<void>;
  /** Ends it and removes what it has stored. */
  stop(): Promise<void>;
}

/** etcd 3.5 or later: with Debian's 3.4 an API server's watches fail (`RequestWatchProgress is disabled`). */
export function findEtcd(): Search {
  return findProgram({
    name: 'etcd',
    versionArgs: ['--version'],
    version: /etcd Version: (3\.(?:[5-9]|\d{2,})\.\S+)/,
    remedy: 'bash .ci/servers.sh etcd',
  });
}

/** Starts a cluster of one on 127.0.0.1, with an empty store. */
export async function startEtcd(program: Found): Promise<Etcd> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const peerUrl = `http://127.0.0.1:${await freePort()}`;
  const { stop } = await startServerIn('etcd', (folder) => ({
    path: program.path,
    args: [
      `--data-dir=${folder}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      // What is stored need not outlive this test.
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
    ready: async () => (await fetch(`${url}/health`)).ok,
  }));
  return {
    url,
    compact: async () => {
      const revision = await currentRevision(url);
      await callGateway(url, '/v3/kv/compaction', { revision, physical: true });
    },
    stop,
  };
}

/** Any read tells the store's revision in its header; etcd's JSON gateway writes 64-bit numbers as strings. */
async function currentRevision(url: string): Promise<string> {
  const key = Buffer.from('any').toString('base64');
  const answer = (await callGateway(url, '/v3/kv/range', { key, count_only: true })) as {
    readonly header: { readonly revision: string };
  };
  return answer.header.revision;
}

async function callGateway(url: string, path: string, body: object): Promise<unknown> {
  const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}
