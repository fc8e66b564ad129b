import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { describe, it } from 'node:test';

import { isMirrorError } from '../../../functions/errors.ts';
import {
  checkConnected,
  checkLiteral,
  guardedLookup,
  judgeAddress,
  type AddressRules,
} from '../../../functions/registry/address-guard.ts';

const PUBLIC: AddressRules = { privateHosts: new Set(), loopback: false };
const LOCAL: AddressRules = { privateHosts: new Set(), loopback: true };
const NAMED: AddressRules = { privateHosts: new Set(['r.corp', 'r.corp:5000']), loopback: false };

function look(
  addresses: readonly string[],
  rules: AddressRules,
  options: { readonly all?: boolean } = { all: true },
): Promise<string | LookupAddress[]> {
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  return new Promise((resolve, reject) => {
    guardedLookup('r.corp', rules, (_name, done) => {
      done(null, found);
    })('r.corp', options, (error, address) => {
      if (error === null) resolve(address);
      else reject(error);
    });
  });
}

function passes(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    assert.ok(refusal(error));
    return false;
  }
}

const refusal = (error: unknown): boolean => isMirrorError(error, 'ADDRESS_REFUSED');

describe('address guard', () => {
  it('lets public addresses pass', () => {
    for (const address of ['8.8.8.8', '140.82.112.33', '2607:f8b0:4004::1', '64:ff9b::8.8.8.8']) {
      assert.equal(judgeAddress(address, 'r.corp', PUBLIC), undefined, address);
    }
  });

  it('guard address-metadata: never speaks to instance metadata, whoever names it', () => {
    for (const address of ['fd00:ec2::254', 'fd20:ce::254', '168.63.129.16', '100.100.100.200']) {
      assert.equal(judgeAddress(address, 'r.corp', NAMED), 'Never', address);
    }
  });

  it('guard address-never: never speaks to link-local and senseless addresses', () => {
    const never = [
      '169.254.169.254',
      '169.254.0.1',
      'fe80::1',
      '::ffff:169.254.169.254',
      '64:ff9b::a9fe:a9fe',
      '0.0.0.0',
      '::',
      '255.255.255.255',
      '224.0.0.1',
      'ff02::1',
      '240.0.0.1',
    ];
    for (const address of never) {
      assert.equal(judgeAddress(address, 'r.corp', NAMED), 'Never', address);
    }
  });

  it('guard address-private: speaks to private addresses of named hosts only', () => {
    const privates = [
      '10.0.0.1',
      '172.16.5.5',
      '192.168.1.1',
      '100.64.0.1',
      'fd12::1',
      '::ffff:10.0.0.1',
      '64:ff9b::a00:1',
    ];
    for (const address of privates) {
      assert.notEqual(judgeAddress(address, 'other.corp', NAMED), undefined, address);
      assert.notEqual(judgeAddress(address, 'r.corp:5001', NAMED), undefined, address);
      assert.notEqual(judgeAddress(address, 'r.corp', LOCAL), undefined, address);
      assert.equal(judgeAddress(address, 'r.corp', NAMED), undefined, address);
      assert.equal(judgeAddress(address, 'r.corp:5000', NAMED), undefined, address);
    }
  });

  it('guard address-loopback: speaks to loopback in local mode and to named hosts only', () => {
    for (const address of [
      '127.0.0.1',
      '127.8.8.8',
      '::1',
      '::ffff:127.0.0.1',
      '64:ff9b::7f00:1',
    ]) {
      assert.equal(judgeAddress(address, 'r.corp', PUBLIC), 'Loopback', address);
      assert.equal(judgeAddress(address, 'other.corp', NAMED), 'Loopback', address);
      assert.equal(judgeAddress(address, 'r.corp', LOCAL), undefined, address);
      assert.equal(judgeAddress(address, 'r.corp', NAMED), undefined, address);
    }
  });

  it('guard address-unicast: speaks to nothing that is not global unicast', () => {
    for (const address of ['2002:7f00:1::', '2001::1', 'fec0::1', '100::1']) {
      assert.notEqual(judgeAddress(address, 'r.corp', LOCAL), undefined, address);
    }
  });

  it('does not take for an address what is none', () => {
    assert.equal(judgeAddress('r.corp', 'r.corp', NAMED), 'Unreadable');
    assert.equal(judgeAddress('', 'r.corp', NAMED), 'Unreadable');
  });

  // One address of each class that is refused: which class refuses is another guard's concern.
  const REFUSED = ['127.0.0.1', '10.0.0.1', '169.254.169.254'];

  it('guard address-literal: judges literals', () => {
    const passed = REFUSED.filter((address) =>
      passes(() => {
        checkLiteral(new URL(`http://${address}/`), PUBLIC);
      }),
    );
    assert.ok(passed.length < REFUSED.length);
  });

  it('judges literals in every spelling that the URL parser takes', () => {
    const urls = [
      'http://2130706433/',
      'http://0x7f.1/',
      'http://017700000001/',
      'http://[::1]/',
      'http://[::ffff:7f00:1]/',
      'http://169.254.169.254/computeMetadata/v1/',
      'http://10.0.0.1:5000/',
    ];
    for (const url of urls) {
      assert.throws(
        () => {
          checkLiteral(new URL(url), PUBLIC);
        },
        refusal,
        url,
      );
    }
    checkLiteral(new URL('https://8.8.8.8/'), PUBLIC);
    checkLiteral(new URL('https://ghcr.io/'), PUBLIC);
  });

  it('guard address-connected: judges the other end of a connection', () => {
    const passed = REFUSED.filter((address) =>
      passes(() => {
        checkConnected(address, 'r.example.com', PUBLIC);
      }),
    );
    assert.ok(passed.length < REFUSED.length);
    checkConnected('8.8.8.8', 'r.example.com', PUBLIC);
  });

  it('refuses a connection whose other end is not known', () => {
    assert.throws(() => {
      checkConnected(undefined, 'r.example.com', PUBLIC);
    }, refusal);
  });

  it('guard address-lookup: judges what a look-up gives', async () => {
    const looks = await Promise.allSettled(REFUSED.map((address) => look([address], PUBLIC)));
    assert.ok(looks.some(({ status }) => status === 'rejected'));
  });

  it('refuses a name with any address that is refused', async () => {
    await assert.rejects(look(['8.8.8.8', '127.0.0.1'], PUBLIC), refusal);
    await assert.rejects(look(['8.8.8.8', 'fd00:ec2::254'], NAMED, {}), refusal);
  });

  it('gives a look-up in the form it is asked for', async () => {
    assert.deepEqual(await look(['8.8.8.8', '2607:f8b0::1'], PUBLIC), [
      { address: '8.8.8.8', family: 4 },
      { address: '2607:f8b0::1', family: 6 },
    ]);
    assert.equal(await look(['8.8.8.8', '8.8.4.4'], PUBLIC, {}), '8.8.8.8');
    assert.equal(await look(['10.0.0.1'], NAMED, {}), '10.0.0.1');
  });

  it('passes on that a name is not known', async () => {
    const failed = new Promise((resolve) => {
      guardedLookup('r.corp', PUBLIC, (_name, done) => {
        done(Object.assign(new Error('unknown'), { code: 'ENOTFOUND' }), []);
      })('r.corp', { all: true }, resolve);
    });
    assert.equal(((await failed) as NodeJS.ErrnoException).code, 'ENOTFOUND');
  });

  it('asks the system where nothing else is given', async () => {
    const addresses = await new Promise<string | LookupAddress[]>((resolve, reject) => {
      guardedLookup('localhost', LOCAL)('localhost', { all: true }, (error, found) => {
        if (error === null) resolve(found);
        else reject(error);
      });
    });
    assert.ok(Array.isArray(addresses) && addresses.length > 0);
  });
});
