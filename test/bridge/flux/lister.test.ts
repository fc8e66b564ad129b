import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { imageRepositoriesPath, listImageRepositories } from '../../../bridge/flux/lister.ts';
import { connectApiServer, type ApiServer } from '../../../bridge/kubernetes/api-server.ts';
import { createLogger } from '../../../functions/telemetry/logger.ts';
import { rejection } from '../../faults.ts';
import { imageRepository } from '../objects.ts';
import { startStandIns, type StandIns } from '../stand-ins.ts';

const logger = createLogger({ write: () => undefined });

describe('imageRepositoriesPath', () => {
  it('is that of all namespaces or of one', () => {
    assert.equal(
      imageRepositoriesPath(undefined),
      '/apis/image.toolkit.fluxcd.io/v1/imagerepositories',
    );
    assert.equal(
      imageRepositoriesPath('team'),
      '/apis/image.toolkit.fluxcd.io/v1/namespaces/team/imagerepositories',
    );
  });
});

describe('listImageRepositories', () => {
  let standIns: StandIns;
  let apiServer: ApiServer;
  before(async () => {
    standIns = await startStandIns();
    apiServer = connectApiServer(standIns.kubeconfig);
    for (let index = 0; index < 1203; index += 1) {
      standIns.kubernetes.put(imageRepository(`app-${index}`, { revision: '1' }));
    }
  });
  after(async () => {
    apiServer.close();
    await standIns.close();
  });
  const options = (): Parameters<typeof listImageRepositories>[0] => ({
    apiServer,
    namespace: undefined,
    labelSelector: '',
    logger,
  });
  const lists = (): number =>
    standIns.kubernetes.requests.filter(({ verb }) => verb === 'list').length;

  it('reads pages of 500', async () => {
    const before = lists();
    const names: string[] = [];
    const { uids, resourceVersion } = await listImageRepositories(
      options(),
      ({ name }) => names.push(name),
      new AbortController().signal,
    );
    assert.equal(lists() - before, 3);
    assert.equal(new Set(names).size, 1203);
    assert.equal(uids.size, 1203);
    assert.equal(resourceVersion, String(standIns.kubernetes.resourceVersion));
  });

  it('stops between pages when it is aborted', async () => {
    const controller = new AbortController();
    const before = lists();
    const listing = listImageRepositories(
      options(),
      () => {
        controller.abort();
      },
      controller.signal,
    );
    await rejection(listing, 'ABORTED');
    assert.equal(lists() - before, 1);
  });

  it('fails when a page is too old to go on from', async () => {
    let pages = 0;
    const listing = listImageRepositories(
      options(),
      () => {
        pages += 1;
        if (pages === 1) standIns.kubernetes.faults.request({ verbs: ['list'], answer: 410 });
      },
      new AbortController().signal,
    );
    assert.equal((await rejection(listing, 'WATCH_FAILED')).status, 410);
  });

  /** Lists where every request is answered with this. */
  function answered(body: unknown): ReturnType<typeof listImageRepositories> {
    const send: ApiServer['send'] = () => Promise.resolve({ status: 200, body });
    const own = { ...options(), apiServer: { ...apiServer, send } };
    return listImageRepositories(own, () => undefined, new AbortController().signal);
  }

  it('fails at an answer that is no list', async () => {
    const metadata = { resourceVersion: '1' };
    for (const body of ['words', null, {}, { items: [] }, { items: {}, metadata }]) {
      await rejection(answered(body), 'RESPONSE_INVALID');
    }
  });

  it('ends with an empty continue token, and names what is no object as far as it can', async () => {
    const metadata = { resourceVersion: '7', continue: '' };
    const { malformed, resourceVersion } = await answered({ items: [null, {}], metadata });
    assert.deepEqual([malformed, resourceVersion], [['?/?', '?/?'], '7']);
  });
});
