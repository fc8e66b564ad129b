import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { listen } from '../../stand-ins/kubernetes/listener.ts';

describe('the listener', () => {
  it('comes back on its port after it was cut off', async () => {
    const listener = await listen((_request, response) => response.end('ok'), 0, undefined);
    const url = `http://127.0.0.1:${listener.port}/`;
    try {
      assert.equal(await (await fetch(url)).text(), 'ok');
      await listener.halt();
      await listener.halt();
      await assert.rejects(fetch(url));
      await listener.resume();
      await listener.resume();
      assert.equal(await (await fetch(url)).text(), 'ok');
    } finally {
      await listener.halt();
    }
  });

  it('cuts open connections', async () => {
    const listener = await listen((_request, response) => response.write('begun'), 0, undefined);
    const response = await fetch(`http://127.0.0.1:${listener.port}/`);
    const reading = response.text();
    await listener.halt();
    await assert.rejects(reading);
  });

  it('fails where the port is taken', async () => {
    const listener = await listen((_request, response) => response.end(), 0, undefined);
    try {
      await assert.rejects(
        listen(() => undefined, listener.port, undefined),
        { code: 'EADDRINUSE' },
      );
    } finally {
      await listener.halt();
    }
  });
});
