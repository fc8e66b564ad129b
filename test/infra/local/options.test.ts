import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { parseLocalOptions } from '../../../infra/local/options.ts';

describe('parseLocalOptions', () => {
  it('runs everything on stand-ins by default', () => {
    const options = parseLocalOptions([]);
    assert.equal(options.once, false);
    assert.equal(options.kubeconfig, undefined);
    assert.equal(options.pubsubEmulatorHost, undefined);
    assert.equal(options.destinationRegistry, undefined);
    assert.deepEqual(options.sources, []);
  });

  for (const [field, argv] of [
    ['--pubsub-emulator-host', ['--pubsub-emulator-host=8085']],
    ['--source', ['--source=ghcr.io/Org/app']],
    ['--source', ['--source=alpine:3']],
    ['--source', ['--kubeconfig=k', '--source=alpine']],
    ['--destination-registry', ['--destination-registry=https://localhost:5000']],
    ['--destination-registry', ['--destination-registry=europe-docker.pkg.dev/acme']],
    ['--insecure', ['--insecure']],
    ['--tag-workers', ['--tag-workers=many']],
    ['--new-tag-interval', ['--new-tag-interval=often']],
  ] as const) {
    it(`refuses ${argv.join(' ')}`, () => {
      assert.throws(
        () => parseLocalOptions(argv),
        (error) =>
          error instanceof MirrorError && error.code === 'OPTION_INVALID' && error.field === field,
      );
    });
  }
});
