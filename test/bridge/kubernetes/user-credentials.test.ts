import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import {
  CredentialSource,
  type CredentialPlugin,
} from '../../../bridge/kubernetes/user-credentials.ts';
import { rejection } from '../../faults.ts';
import { eventually } from '../stand-ins.ts';

describe('CredentialSource', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'credentials-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** A plugin in JavaScript; it is run with this Node. */
  async function plugin(name: string, code: string): Promise<{ command: string; args: string[] }> {
    const file = join(folder, `${name}.mjs`);
    await writeFile(file, `import fs from 'node:fs';\n${code}`);
    return { command: process.execPath, args: [file] };
  }
  const credential = (status: object): string =>
    `console.log(JSON.stringify(${JSON.stringify({ kind: 'ExecCredential', status })}));`;

  it('reads a token file without its line end, and again when it was refused', async () => {
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, 'one\n');
    const source = new CredentialSource();
    assert.deepEqual(await source.get({ tokenFile }), { token: 'one' });
    await writeFile(tokenFile, 'two\n');
    assert.deepEqual(await source.get({ tokenFile }), { token: 'one' });
    source.forget();
    assert.deepEqual(await source.get({ tokenFile }), { token: 'two' });
  });

  it('says which file is not there, and finds it when it comes', async () => {
    const tokenFile = join(folder, 'late');
    const source = new CredentialSource();
    const fault = await rejection(source.get({ tokenFile }), 'CREDENTIALS_UNAVAILABLE');
    assert.ok(fault.message.includes(tokenFile));
    await writeFile(tokenFile, ' \n');
    await rejection(source.get({ tokenFile }), 'CREDENTIALS_UNAVAILABLE');
    await writeFile(tokenFile, 'here');
    assert.deepEqual(await source.get({ tokenFile }), { token: 'here' });
  });

  it('runs a plugin once for all that ask, and again when its credential is over', async () => {
    const runs = join(folder, 'runs');
    const count = `fs.appendFileSync(${JSON.stringify(runs)}, 'x');`;
    const expirationTimestamp = new Date(Date.now() + 3_600_000).toISOString();
    const lasting = await plugin(
      'lasting',
      count + credential({ token: 't', expirationTimestamp }),
    );
    const source = new CredentialSource();
    const all = await Promise.all([1, 2, 3].map(() => source.get({ plugin: lasting })));
    assert.deepEqual(all, [{ token: 't' }, { token: 't' }, { token: 't' }]);
    await source.get({ plugin: lasting });
    assert.equal(await readFile(runs, 'utf8'), 'x');
    const over = await plugin(
      'over',
      count + credential({ token: 't', expirationTimestamp: '2020-01-01T00:00:00Z' }),
    );
    source.forget();
    await source.get({ plugin: over });
    await source.get({ plugin: over });
    assert.equal(await readFile(runs, 'utf8'), 'xxx');
  });

  for (const [index, expirationTimestamp] of [null, 'soon', undefined].entries()) {
    it(`runs a plugin once whose credential ends at ${String(expirationTimestamp)}`, async () => {
      const runs = join(folder, `runs-${index}`);
      const code = `fs.appendFileSync(${JSON.stringify(runs)}, 'x');`;
      const endless = await plugin(
        'endless',
        code + credential({ token: 't', expirationTimestamp }),
      );
      const source = new CredentialSource();
      await source.get({ plugin: endless });
      assert.deepEqual(await source.get({ plugin: endless }), { token: 't' });
      assert.equal(await readFile(runs, 'utf8'), 'x');
    });
  }

  it('gives certificates, and the environment that the plugin is told', async () => {
    const code = `
      const { kind, spec } = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
      console.log(JSON.stringify({ status: {
        clientCertificateData: kind + spec.interactive, clientKeyData: process.env.OWN } }));`;
    const source = new CredentialSource();
    const given = await source.get({
      plugin: { ...(await plugin('certificate', code)), env: [{ name: 'OWN', value: 'key' }] },
    });
    assert.deepEqual(given, { certificate: 'ExecCredentialfalse', key: 'key' });
  });

  it('says why a plugin gave nothing, and never what it wrote', async () => {
    const cases: readonly (readonly [string, string, RegExp])[] = [
      ['failing', "console.error('secret-error'); process.exit(3);", /ended with exit code 3/],
      ['killed', "process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000);", /SIGTERM/],
      ['flooding', "console.log('secret-token'.repeat(100_000));", / failed: .*MAXBUFFER;/],
      ['talking', "console.log('secret-token');", /wrote no JSON/],
      ['null', 'console.log(null);', /gave no credential/],
      ['empty', credential({}), /gave no credential/],
      ['null', credential({ token: null, clientCertificateData: '' }), /gave no credential/],
    ];
    const reason = async (started: CredentialPlugin): Promise<string> => {
      const asked = new CredentialSource().get({ plugin: started });
      return (await rejection(asked, 'CREDENTIALS_UNAVAILABLE')).message;
    };
    for (const [name, code, why] of cases) {
      const { command, args } = await plugin(name, code);
      const message = await reason({
        command,
        args: [...args, '--client-secret', 'secret-argument'],
      });
      assert.match(message, why);
      assert.doesNotMatch(message, /secret/);
    }
    assert.match(await reason({ command: join(folder, 'absent') }), /plugin absent .*ENOENT/);
  });

  it('ends a plugin that hangs when it is closed', async () => {
    const pid = join(folder, 'pid');
    const hanging = await plugin(
      'hanging',
      `fs.writeFileSync(${JSON.stringify(pid)}, String(process.pid)); setInterval(() => {}, 1000);`,
    );
    const source = new CredentialSource();
    const asked = rejection(source.get({ plugin: hanging }), 'CREDENTIALS_UNAVAILABLE');
    await eventually('it runs', () => existsSync(pid) && readFileSync(pid).length > 0);
    source.close();
    assert.match((await asked).message, / failed: ABORT_ERR;/);
    const child = Number(await readFile(pid, 'utf8'));
    await eventually('it is gone', () => {
      try {
        process.kill(child, 0);
        return false;
      } catch {
        return true;
      }
    });
  });
});
