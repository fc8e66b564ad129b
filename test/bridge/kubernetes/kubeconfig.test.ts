import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { loadKubeAccess } from '../../../bridge/kubernetes/kubeconfig.ts';
import { thrown } from '../../faults.ts';

/** Parts of a kubeconfig. */
interface Written {
  readonly cluster?: readonly [name: string, server: string];
  readonly user?: readonly [name: string, user: object];
  readonly context?: readonly [name: string, context: object];
  readonly current?: string;
}

describe('loadKubeAccess', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function written(name: string, parts: Written): Promise<string> {
    const { cluster, user, context, current } = parts;
    const file = join(folder, name);
    await writeFile(
      file,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        ...(cluster === undefined
          ? {}
          : { clusters: [{ name: cluster[0], cluster: { server: cluster[1] } }] }),
        ...(user === undefined ? {} : { users: [{ name: user[0], user: user[1] }] }),
        ...(context === undefined ? {} : { contexts: [{ name: context[0], context: context[1] }] }),
        ...(current === undefined ? {} : { 'current-context': current }),
      }),
    );
    return file;
  }
  const whole = (user: object): Written => ({
    cluster: ['c', 'https://c.example'],
    user: ['u', user],
    context: ['x', { cluster: 'c', user: 'u' }],
    current: 'x',
  });

  it('unites several files: the first that says something wins', async () => {
    const first = await written('first', {
      cluster: ['c', 'https://first.example'],
      context: ['x', { cluster: 'c', user: 'u', namespace: 'team' }],
      current: 'x',
    });
    const second = await written('second', {
      cluster: ['c', 'https://second.example'],
      user: ['u', { token: 'second' }],
      context: ['y', { cluster: 'c', user: 'u' }],
      current: 'y',
    });
    const { config } = loadKubeAccess([first, second].join(delimiter), {});
    assert.equal(config.getCurrentCluster()?.server, 'https://first.example');
    assert.equal(config.getCurrentUser()?.token, 'second');
    assert.equal(config.getContextObject('x')?.namespace, 'team');
    assert.equal(config.getCurrentContext(), 'x');
    const files = ['one', 'other'].map((name) => written(name, whole({ tokenFile: `/${name}` })));
    const both = (await Promise.all(files)).join(delimiter);
    assert.equal(loadKubeAccess(both, {}).credentials.tokenFile, '/one');
  });

  it('takes plain http for that, and verifies all else', async () => {
    for (const scheme of ['http', 'https']) {
      const cluster = ['c', `${scheme}://c.example`] as const;
      const file = await written(scheme, { ...whole({ token: 't' }), cluster });
      const isUnverified = loadKubeAccess(file, {}).config.getCurrentCluster()?.skipTLSVerify;
      assert.equal(isUnverified === true, scheme === 'http');
    }
  });

  it('passes over files that are not there, as long as one is', async () => {
    const there = await written('there', whole({ token: 't' }));
    const list = [join(folder, 'absent'), '', there].join(delimiter);
    assert.equal(loadKubeAccess(list, {}).config.getCurrentUser()?.token, 't');
    const neither = [join(folder, 'absent'), join(folder, 'gone')].join(delimiter);
    const { message } = thrown(() => loadKubeAccess(neither, {}), 'KUBECONFIG_INVALID');
    assert.match(message, /absent'/);
  });

  it('takes a file whose name has a colon for one file', async () => {
    const file = await written('a:b', whole({ token: 't' }));
    assert.equal(loadKubeAccess(file, {}).config.getCurrentUser()?.token, 't');
  });

  for (const [change, why] of [
    [{ current: '' }, 'it has no current context'],
    [{ current: 'y' }, 'its current context y is absent or names no cluster'],
    [{ context: ['x', { user: 'u' }] }, 'its current context x is absent or names no cluster'],
    [{ context: ['x', { cluster: 'd', user: 'u' }] }, 'the cluster of its context x is absent'],
    [{ cluster: ['c', ''] }, 'the cluster of its context x is absent or has no server'],
    [{ context: ['x', { cluster: 'c', user: 'other' }] }, 'the user of its context x is absent'],
    [{ cluster: ['c', 'c.example'] }, 'the server of its context x is no URL'],
    [{ user: ['u', { exec: {} }] }, 'the plugin of its context x has no command'],
  ] as const) {
    it(`refuses one because ${why}`, async () => {
      const file = await written('refused', { ...whole({ token: 't' }), ...change });
      const { message } = thrown(() => loadKubeAccess(file, {}), 'KUBECONFIG_INVALID');
      assert.ok(message.startsWith(`kubeconfig ${file} cannot be used: ${why}`), message);
    });
  }

  it('passes over what is incomplete and not of the current context, and files that say nothing', async () => {
    const file = join(folder, 'leftovers');
    const config = {
      clusters: [{ name: 'gone' }, { name: 'c', cluster: { server: 'https://c.example' } }],
      users: [null, { name: 'left', user: { exec: {} } }, { name: 'u', user: { token: 't' } }],
      contexts: [
        { name: 'left', context: { namespace: 'x' } },
        { name: 'x', context: { cluster: 'c', user: 'u' } },
      ],
      'current-context': 'x',
    };
    await writeFile(file, JSON.stringify(config));
    const comments = join(folder, 'comments');
    await writeFile(comments, '# nothing yet\n---\n');
    const list = [comments, file].join(delimiter);
    assert.equal(loadKubeAccess(list, {}).config.getCurrentUser()?.token, 't');
  });

  it('finds a token file and a plugin relative to the file that names them', async () => {
    await mkdir(join(folder, 'deep'), { recursive: true });
    const token = await written('deep/token-file', whole({ tokenFile: 'token' }));
    assert.equal(loadKubeAccess(token, {}).credentials.tokenFile, join(folder, 'deep', 'token'));
    const plugin = await written('deep/plugin', whole({ exec: { command: './plugin' } }));
    assert.equal(
      loadKubeAccess(plugin, {}).credentials.plugin?.command,
      join(folder, 'deep', 'plugin'),
    );
    const onPath = await written('deep/on-path', whole({ exec: { command: 'plugin' } }));
    assert.equal(loadKubeAccess(onPath, {}).credentials.plugin?.command, 'plugin');
  });
});
