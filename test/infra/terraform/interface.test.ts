import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { describe, it } from 'node:test';

import { all, EXAMPLES, MODULE, readConfiguration } from './configuration.ts';

const configuration = await readConfiguration(MODULE);

/** Types whose every value is a right one. */
const NEEDS_NO_CHECK = ['${bool}'];

describe('the variables of the module', () => {
  for (const { name, body } of configuration.variables) {
    it(`${name} is described, typed and checked`, () => {
      assert.match(String(body['description']), /\.\s*$/, 'a sentence');
      assert.equal(typeof body['type'], 'string');
      assert.notEqual(body['type'], '${any}');
      if (NEEDS_NO_CHECK.includes(String(body['type']))) return;
      const checks = all(body, 'validation');
      assert.notEqual(checks.length, 0, 'a validation');
      for (const check of checks) {
        assert.match(String(check['error_message']), new RegExp(`^${name}\\b.*\\.$`));
      }
    });

    it(`${name} has a default that is not null, or may be null`, () => {
      // Where the default is something, an explicit null must not sneak past the validations.
      if ('default' in body && body['default'] !== null) assert.equal(body['nullable'], false);
      if (!('default' in body)) assert.equal(body['nullable'], false);
    });
  }

  it('require five answers, sources among them', () => {
    assert.deepEqual(
      configuration.variables
        .filter(({ body }) => !('default' in body))
        .map(({ name }) => name)
        .sort(),
      ['allowed_sources', 'destination_registry', 'image', 'project_id', 'region'],
    );
  });

  it('hold no secret', () => {
    for (const { name } of configuration.variables) {
      assert.doesNotMatch(name, /password|token|secret_data|credentials_json/);
    }
  });
});

describe('the outputs of the module', () => {
  for (const { name, body } of configuration.outputs) {
    it(`${name} is described`, () => {
      assert.match(String(body['description']), /\.\s*$/);
    });
  }

  it('tell what the bridge and the runbooks need', () => {
    const names = configuration.outputs.map(({ name }) => name);
    for (const name of [
      'bridge_service_account',
      'dead_letter_subscription',
      'destination_layout',
      'destination_registry',
      'docker_config_secret',
      'job',
      'project_id',
      'services',
      'subscriptions',
      'topics',
    ]) {
      assert.ok(names.includes(name), name);
    }
  });
});

describe('versions', () => {
  for (const folder of [MODULE, ...EXAMPLES]) {
    it(`${basename(folder)} names Terraform and the provider as bounded ranges`, async () => {
      const { providers } = await readConfiguration(folder);
      assert.equal(providers['required_version'], '>= 1.9.0');
      const required = (providers['required_providers'] as readonly Record<string, unknown>[])[0];
      assert.deepEqual(required, {
        google: { source: 'hashicorp/google', version: '>= 7.40.0, < 9.0.0' },
      });
    });
  }
});

describe('examples', () => {
  it('are the five ways to install', () => {
    assert.deepEqual(
      EXAMPLES.map((folder) => basename(folder)),
      ['bootstrap', 'environments', 'existing', 'minimal', 'regions'],
    );
  });

  for (const folder of EXAMPLES) {
    it(`${basename(folder)} describes its variables and outputs`, async () => {
      const { variables, outputs } = await readConfiguration(folder);
      for (const { name, body } of [...variables, ...outputs]) {
        assert.match(String(body['description']), /\.\s*$/, name);
      }
    });
  }
});
