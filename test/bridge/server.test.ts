import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { servePages, textPage } from '../../bridge/server.ts';
import { hasCause } from '../faults.ts';
import { faultOfPromise } from './faults.ts';

const pages = {
  '/ok': () => textPage(200, 'ok'),
  '/later': () => Promise.resolve(textPage(503, 'not yet')),
  '/broken': () => {
    throw new Error('secret words');
  },
};

describe('servePages', () => {
  it('serves its pages, with and without a query', async (t) => {
    const server = await servePages('--metrics-addr', '127.0.0.1:0', pages);
    t.after(() => server.close());
    assert.match(server.address, /^127\.0\.0\.1:[1-9]\d*$/);
    const url = `http://${server.address}`;
    const ok = await fetch(`${url}/ok?verbose=1`);
    assert.deepEqual([ok.status, await ok.text()], [200, 'ok\n']);
    assert.equal((await fetch(`${url}/later`)).status, 503);
  });

  it('answers HEAD without a body, and refuses other methods and paths', async (t) => {
    const server = await servePages('--metrics-addr', '127.0.0.1:0', pages);
    t.after(() => server.close());
    const url = `http://${server.address}`;
    const head = await fetch(`${url}/ok`, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    assert.equal((await fetch(`${url}/ok`, { method: 'POST', body: 'x' })).status, 405);
    assert.equal((await fetch(`${url}/else`)).status, 404);
  });

  it('answers 500 for a page that fails, without its words', async (t) => {
    const server = await servePages('--metrics-addr', '127.0.0.1:0', pages);
    t.after(() => server.close());
    const broken = await fetch(`http://${server.address}/broken`);
    assert.equal(broken.status, 500);
    assert.doesNotMatch(await broken.text(), /secret/);
  });

  it('listens on all addresses where no host is named', async (t) => {
    const server = await servePages('--metrics-addr', ':0', pages);
    t.after(() => server.close());
    const port = server.address.slice(server.address.lastIndexOf(':') + 1);
    assert.equal((await fetch(`http://127.0.0.1:${port}/ok`)).status, 200);
  });

  it('refuses an address that is taken, naming the option', async (t) => {
    const server = await servePages('--metrics-addr', '127.0.0.1:0', pages);
    t.after(() => server.close());
    const again = servePages('--health-addr', server.address, pages);
    assert.equal((await faultOfPromise('OPTION_INVALID', again)).field, '--health-addr');
  });

  it('cuts open connections when it is closed', async () => {
    const server = await servePages('--metrics-addr', '127.0.0.1:0', pages);
    await fetch(`http://${server.address}/ok`);
    await server.close();
    await assert.rejects(fetch(`http://${server.address}/ok`), hasCause('ECONNREFUSED'));
  });
});
