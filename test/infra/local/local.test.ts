import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { runLocal } from '../../../infra/local/local.ts';
import { parseLocalOptions } from '../../../infra/local/options.ts';

function output(): { readonly write: (text: string) => void; readonly text: () => string } {
  let all = '';
  return {
    write: (text) => {
      all += text;
    },
    text: () => all,
  };
}

describe('runLocal', () => {
  it('refuses a kubeconfig that cannot be read before anything is started', async () => {
    const out = output();
    const options = parseLocalOptions(['--kubeconfig=/does/not/exist']);
    await assert.rejects(
      runLocal(options, out, new AbortController().signal),
      (error) => error instanceof MirrorError && error.code === 'KUBECONFIG_INVALID',
    );
    assert.equal(out.text(), '');
  });

  it('ends with 0 when it is told to, and with 1 where --once had not converged by then', async () => {
    for (const [args, code] of [
      [[], 0],
      [['--once'], 1],
    ] as const) {
      const stop = new AbortController();
      stop.abort();
      assert.equal(await runLocal(parseLocalOptions(args), output(), stop.signal), code);
    }
  });

  it("shows the children's lines instead of the view with --logs", async () => {
    const out = output();
    const stop = new AbortController();
    const options = parseLocalOptions(['--logs', '--once', '--new-tag-interval=0']);
    assert.equal(await runLocal(options, out, stop.signal), 0, out.text());
    assert.match(out.text(), /^bridge: \{.*"message":"published (?:initial|changed) of /m);
    assert.match(out.text(), /^function (?:bulk|events): \{.*"entry":"event"/m);
  });
});
