import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';

import { encodeEvent } from '../../functions/contract/codec.ts';
import type { MirrorEvent } from '../../functions/contract/event.ts';
import { eventVariable } from '../../functions/subscriber/cloud-run-job.ts';
import type { LocalRegistry } from '../stand-ins/registry/registry.ts';
import { imageWith } from '../functions/mirror/images.ts';
import { registry } from '../functions/registry/setting.ts';
import { sampleEvent } from '../functions/subscriber/samples.ts';
import { runEntry, startEntry } from './entry.ts';

const NEVER_SETTLING = new URL('never-settling.ts', import.meta.url).href;
const COPY = /copy blob sha256:[0-9a-f]{64} of 127\.0\.0\.1:\d+\/org\/app/;

interface Setting {
  readonly source: LocalRegistry;
  readonly env: Readonly<Record<string, string>>;
  readonly event: MirrorEvent;
}

/** An image to be copied, by a process in which no copy of a blob ever settles. */
async function setting(t: TestContext): Promise<Setting> {
  const source = await registry(t);
  const destination = await registry(t);
  const { manifest, blobs } = imageWith('image', 1);
  for (const { bytes } of blobs) source.store.putBlob('org/app', bytes);
  source.store.putManifest('org/app', manifest, '1.0');
  const env = {
    NODE_OPTIONS: `--import=${NEVER_SETTLING}`,
    METADATA_SERVER_DETECTION: 'none',
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${destination.host}/m`,
    DESTINATION_LAYOUT: 'path',
    JOB_THRESHOLD_BYTES: '-1',
    PORT: '0',
  };
  const image = `${source.host}/org/app`;
  return { source, env, event: sampleEvent({ image, reason: 'requested', insecure: true }) };
}

describe('work that never settles', { timeout: 120_000 }, () => {
  it('ends the command with 70, which names it', async (t) => {
    const { source, env } = await setting(t);
    const args = ['--image', `${source.host}/org/app`];
    const { code, stderr } = await runEntry('functions/job.ts', args, env);
    assert.equal(code, 70, stderr);
    assert.match(stderr, COPY);
  });

  it('ends the job with 70, which names it', async (t) => {
    const { env, event } = await setting(t);
    const jobEnv = { ...env, EVENT: eventVariable(event) };
    const { code, stderr } = await runEntry('functions/job.ts', [], jobEnv);
    assert.equal(code, 70, stderr);
    assert.match(stderr, COPY);
  });

  it('does not keep the service from its end, which names it', async (t) => {
    const { env, event } = await setting(t);
    const { child, ended } = startEntry('functions/serve.ts', [], env);
    const port = await new Promise<number>((resolve) => {
      createInterface({ input: child.stdout! }).on('line', (text) => {
        const { port: told } = JSON.parse(text) as { readonly port?: number };
        if (told !== undefined) resolve(told);
      });
    });
    const { attributes, data } = encodeEvent(event);
    const answered = fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      headers: attributes,
      body: new Uint8Array(data),
    }).catch(() => undefined);
    await new Promise<void>((resolve) => {
      child.stderr!.on('data', (text: string) => {
        if (text.includes('held')) resolve();
      });
    });
    child.kill('SIGTERM');
    const { code, stdout } = await ended;
    await answered;
    assert.equal(code, 0);
    assert.match(stdout, COPY);
  });
});
