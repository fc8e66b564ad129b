import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { parse } from 'yaml';

import { namesIn, requireKnown } from './names.ts';
import { copyOfSources, ROOT, scratchFolder } from './scratch.ts';

interface Step {
  readonly id: string;
  readonly name: string;
  readonly entrypoint?: string;
  readonly args: readonly string[];
  readonly waitFor?: readonly string[];
}

interface Build {
  readonly steps: readonly Step[];
  readonly images?: readonly string[];
  readonly substitutions: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly options: Readonly<Record<string, unknown>>;
}

const FILES = ['cloudbuild.yaml', 'infra/deploy.cloudbuild.yaml'];

/** Substitutions that Cloud Build itself gives (docs.cloud.google.com/build/docs/configuring-builds/substitute-variable-values). */
const BUILT_IN = ['PROJECT_ID', 'BUILD_ID', 'LOCATION'];

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

function buildOf(file: string): Build {
  return parse(textOf(file)) as Build;
}

/** Names that a text has substituted: `$NAME` and `${NAME}`, not `$$NAME`. */
function substituted(text: string): readonly string[] {
  const single = text.replaceAll('$$', '');
  return namesIn(single, /\$\{?([A-Z_][A-Z0-9_]*)\}?/g);
}

for (const file of FILES) {
  describe(file, () => {
    const text = textOf(file);
    const build = buildOf(file);

    it('declares what it uses, uses what it declares, and explains each', () => {
      const body = JSON.stringify({ ...build, substitutions: undefined });
      const values = Object.values(build.substitutions).join(' ');
      const used = new Set(substituted(`${body} ${values}`));
      const declared = Object.keys(build.substitutions);
      requireKnown(used, [...BUILT_IN, ...declared]);
      requireKnown(declared, used);
      for (const name of declared)
        assert.match(text, new RegExp(`^  # .+\\.\n  ${name}:`, 'm'), name);
    });

    it('waits for steps that are there', () => {
      const ids = build.steps.map(({ id }) => id);
      for (const { waitFor = [] } of build.steps) {
        for (const id of waitFor) assert.ok(id === '-' || ids.includes(id), id);
      }
    });

    it('runs as an account of its own and keeps its logs in Cloud Logging', () => {
      assert.equal(
        build.serviceAccount,
        'projects/$PROJECT_ID/serviceAccounts/${_BUILD_SERVICE_ACCOUNT}',
      );
      assert.equal(build.options['logging'], 'CLOUD_LOGGING_ONLY');
      assert.equal(build.options['dynamicSubstitutions'], true);
    });

    it('pushes no image in a step: it would have no provenance', () => {
      for (const { args } of build.steps) assert.doesNotMatch(args.join(' '), /\bpush\b/);
    });

    it('has scripts that a shell can read', () => {
      for (const { id, entrypoint, args } of build.steps) {
        if (entrypoint !== 'bash' && entrypoint !== 'sh') continue;
        const { status, stderr } = spawnSync(
          'bash',
          ['-n', '-c', (args.at(-1) ?? '').replaceAll('$$', '$')],
          {
            encoding: 'utf8',
          },
        );
        assert.equal(status, 0, `${id}: ${stderr}`);
      }
    });
  });
}

describe('the build', () => {
  const build = buildOf('cloudbuild.yaml');

  it('checks, then builds one image, with verified provenance', () => {
    assert.deepEqual(
      build.steps.map(({ id }) => id),
      ['check', 'image', 'plan', 'deploy'],
    );
    assert.deepEqual(build.images, ['${_IMAGE}:${_TAG}']);
    assert.equal(build.options['requestedVerifyOption'], 'VERIFIED');
    assert.deepEqual(build.steps.find(({ id }) => id === 'image')?.waitFor, ['check']);
    const args = build.steps.find(({ id }) => id === 'image')?.args ?? [];
    assert.ok(args.includes('--file=infra/Dockerfile'));
    assert.ok(args.includes('--tag=${_IMAGE}:${_TAG}'));
  });

  it('runs npm scripts that are there', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const named = build.steps.flatMap(({ args }) => [
      ...args.join(' ').matchAll(/npm run ([\w-]+)/g),
    ]);
    assert.ok(named.length > 0);
    for (const [, name] of named) assert.ok((name ?? '') in scripts, name);
  });

  it('is checked unless it is told not to be', (t) => {
    const { calls } = runStep(t, 'cloudbuild.yaml', 'check', {});
    assert.deepEqual(calls, ['ci --no-audit --no-fund', 'run check']);
    assert.deepEqual(runStep(t, 'cloudbuild.yaml', 'check', { _CHECK: 'false' }).calls, []);
  });

  it('plans and deploys only where it is told to', (t) => {
    for (const id of ['plan', 'deploy']) {
      const { status, calls } = runStep(t, 'cloudbuild.yaml', id, {}, {});
      assert.equal(status, 0);
      assert.deepEqual(calls, []);
    }
  });

  it('starts the deployment with all that it needs', (t) => {
    const { status, calls } = runStep(t, 'cloudbuild.yaml', 'deploy', {
      _DEPLOY: 'true',
      _IMAGE: 'host/project/images/mirror',
    });
    assert.equal(status, 0);
    const call = calls[0] ?? '';
    const file = /--config=(\S+)/.exec(call)?.[1] ?? '';
    assert.ok(existsSync(join(ROOT, file)), file);
    const given = namesIn(call, /(_[A-Z_]+)=/g);
    const wanted = Object.keys(buildOf(file).substitutions);
    requireKnown(given, wanted);
    // The digest comes from the build.
    assert.deepEqual(
      wanted.filter((name) => !given.includes(name)),
      ['_DIGEST'],
    );
    assert.match(call, /_BUILD=build-id,/);
  });
});

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('the deployment', () => {
  const file = 'infra/deploy.cloudbuild.yaml';
  const _IMAGE = 'host/project/images/mirror';

  /** The step that asks for the digest of a build, of which gcloud tells these things. */
  function digestStep(t: TestContext, answers: Answers): StepRun {
    return runStep(t, file, 'digest', { _BUILD: 'b1' }, answers);
  }

  /** A step about an image whose digest is known. */
  function imageStep(
    t: TestContext,
    id: 'provenance' | 'deploy',
    substitutions: Readonly<Record<string, string>> = {},
    answers: Answers = {},
  ): StepRun {
    return runStep(t, file, id, { _IMAGE, ...substitutions }, answers, DIGEST);
  }

  it('takes the digest that the finished build tells', (t) => {
    const { status, digest } = digestStep(t, {
      'builds describe b1 --region=europe-west1 --format=value(status)': ['WORKING', 'SUCCESS'],
      'results.images': [DIGEST],
    });
    assert.deepEqual([status, digest], [0, `${DIGEST}\n`]);
  });

  for (const ending of ['FAILURE', 'CANCELLED', 'TIMEOUT']) {
    it(`deploys nothing of a build that ended as ${ending}`, (t) => {
      assert.equal(digestStep(t, { 'value(status)': [ending] }).status, 1);
    });
  }

  it('deploys nothing of a build that pushed no image', (t) => {
    const { status } = digestStep(t, { 'value(status)': ['SUCCESS'], 'results.images': [''] });
    assert.equal(status, 1);
  });

  it('takes a digest that is given, to go back', (t) => {
    const { status, calls, digest } = runStep(t, file, 'digest', { _DIGEST: DIGEST });
    assert.deepEqual([status, calls, digest], [0, [], `${DIGEST}\n`]);
  });

  it('goes on where there is provenance, also if it comes late', (t) => {
    const answers = ['{}', '{"predicateType":"https://slsa.dev/provenance/v1"}'];
    const { status, calls } = imageStep(t, 'provenance', {}, { '--show-provenance': answers });
    assert.equal(status, 0);
    assert.equal(calls.filter((call) => call.includes(`mirror@${DIGEST}`)).length, 2);
  });

  it('stops where there is none', (t) => {
    assert.equal(imageStep(t, 'provenance', {}, { '--show-provenance': ['{}'] }).status, 1);
  });

  it('updates the job and both services by digest, then moves the tag', (t) => {
    const { status, calls } = imageStep(t, 'deploy', { _NAME: 'mirror-dev' });
    const image = `${_IMAGE}@${DIGEST}`;
    assert.equal(status, 0);
    assert.deepEqual(calls.slice(1), [
      `run jobs update mirror-dev-job --region=europe-west1 --image=${image} --quiet`,
      `run services update mirror-dev-bulk --region=europe-west1 --image=${image} --quiet`,
      `run services update mirror-dev-events --region=europe-west1 --image=${image} --quiet`,
      `artifacts docker tags add ${image} host/project/images/mirror:deployed-mirror-dev`,
    ]);
  });

  for (const [given, region] of [
    [{}, 'us-east1'],
    [{ _REGION: 'asia-east1' }, 'asia-east1'],
  ] as const) {
    it(`is in ${region}, the region of the build unless another is said`, (t) => {
      const { calls } = imageStep(t, 'deploy', { LOCATION: 'us-east1', ...given });
      assert.equal(calls.filter((call) => call.includes(`--region=${region}`)).length, 4);
    });
  }

  const absent = 'ERROR: (gcloud.run.jobs.describe) Cannot find job [x].';
  for (const [what, _FIRST, fails] of [
    ['nothing is there', 'false', absent],
    ['it may not be seen', 'true', "ERROR: PERMISSION_DENIED: Permission 'run.jobs.get' denied"],
    ['the region is none', 'true', 'ERROR: Could not resolve host: eu-west9-run.googleapis.com'],
  ] as const) {
    it(`fails and moves no tag where ${what}`, (t) => {
      const { status, calls } = imageStep(t, 'deploy', { _FIRST }, { 'jobs describe': { fails } });
      assert.deepEqual([status, calls.length], [1, 1]);
    });
  }

  it('only moves the tag before Terraform was applied, where that is said', (t) => {
    const answers = { 'jobs describe': { fails: absent } };
    const { status, calls } = imageStep(t, 'deploy', { _FIRST: 'true' }, answers);
    assert.equal(status, 0);
    assert.deepEqual(
      calls.map((call) => call.split(' ').slice(0, 4).join(' ')),
      ['run jobs describe imagerepo-mirror-job', 'artifacts docker tags add'],
    );
  });

  it('moves the tag that Terraform reads, of names that Terraform makes', () => {
    const script =
      buildOf(file)
        .steps.find(({ id }) => id === 'deploy')
        ?.args.at(-1) ?? '';
    const image = textOf('infra/terraform/image.tf');
    assert.match(script, /:deployed-\$\{_NAME\}/);
    assert.match(image, /"deployed-\$\{var\.name\}"/);
    assert.match(script, /\$\{_NAME\}-job/);
    assert.match(textOf('infra/terraform/mirror.tf'), /"\$\{var\.name\}-job"/);
    assert.match(script, /for lane in bulk events;/);
    assert.match(textOf('infra/terraform/pubsub.tf'), /toset\(\["events", "bulk"\]\)/);
  });
});

describe('what is uploaded', () => {
  /** Files of the project that an ignore file lets through, by git's own reading of it. */
  function uploaded(t: TestContext, ignoreFile: string): readonly string[] {
    const folder = copyOfSources(t);
    const rules = readFileSync(join(folder, ignoreFile), 'utf8');
    writeFileSync(join(folder, '.gitignore'), rules);
    const git = (...args: readonly string[]): string => {
      const { status, stdout, stderr } = spawnSync('git', args, { cwd: folder, encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      return stdout;
    };
    git('init', '--quiet');
    git('add', '--all');
    return git('ls-files').split('\n').filter(Boolean);
  }

  it('of a deployment from source is what its bundle is made of', (t) => {
    const files = uploaded(t, '.gcloudignore');
    for (const file of [
      'package.json',
      'package-lock.json',
      'functions/index.ts',
      'infra/bundle.mjs',
    ]) {
      assert.ok(files.includes(file), file);
    }
    assert.deepEqual(
      files.filter((file) => /^(test|bridge)\/|^infra\/(?!bundle)|\.md$/.test(file)),
      [],
    );
  });

  it('to Cloud Build is everything that is checked there', (t) => {
    const files = uploaded(t, 'infra/cloudbuild.gcloudignore');
    for (const file of [
      'test/run.ts',
      'infra/Dockerfile',
      'infra/terraform/mirror.tf',
      'eslint.config.js',
    ]) {
      assert.ok(files.includes(file), file);
    }
    assert.deepEqual(
      files.filter((file) => /(^|\/)(node_modules|dist|\.terraform)\//.test(file)),
      [],
    );
  });
});

/** Part of a call's arguments → what it prints, one answer a call and the last one again; `fails`: it fails with these words. */
type Answers = Readonly<Record<string, readonly string[] | { readonly fails: string }>>;

interface StepRun {
  readonly status: number | null;
  /** Arguments of every call of gcloud or terraform, in their order. */
  readonly calls: readonly string[];
  /** The workspace's file `digest` afterwards. */
  readonly digest: string;
}

/**
 * Runs a step's script as Cloud Build would, with a gcloud that writes down its arguments and answers.
 * @param digest what a step before has left in the workspace
 */
function runStep(
  t: TestContext,
  file: string,
  id: string,
  substitutions: Readonly<Record<string, string>>,
  answers: Answers = {},
  digest?: string,
): StepRun {
  const folder = scratchFolder(t);
  const build = buildOf(file);
  const given: Readonly<Record<string, string>> = {
    BUILD_ID: 'build-id',
    LOCATION: 'europe-west1',
    PROJECT_ID: 'my-project',
    ...build.substitutions,
    ...substitutions,
  };
  // A substitution may be made of others (dynamicSubstitutions).
  const values = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, substitute(value, given)]),
  );
  const text = build.steps.find((step) => step.id === id)?.args.at(-1) ?? '';
  const script = substitute(text, values).replaceAll('$$', '$');
  if (digest !== undefined) writeFileSync(join(folder, 'digest'), digest);
  writeFileSync(join(folder, 'answers.json'), JSON.stringify(Object.entries(answers)));
  for (const program of ['gcloud', 'terraform', 'npm']) {
    writeFileSync(join(folder, program), `#!${process.execPath}\n${STAND_IN}`, { mode: 0o755 });
  }
  writeFileSync(join(folder, 'sleep'), '#!/bin/sh\n', { mode: 0o755 });
  const { status } = spawnSync('bash', ['-euc', script], {
    cwd: folder,
    env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}`, FOLDER: folder },
    encoding: 'utf8',
  });
  const read = (name: string): string =>
    existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : '';
  return { status, calls: read('calls').split('\n').filter(Boolean), digest: read('digest') };
}

/** Puts values for `$NAME` and `${NAME}`; `$$` stays for later. */
function substitute(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\{?([A-Z_][A-Z0-9_]*)\}?/g, (whole, name: string | undefined) =>
    name === undefined ? whole : (values[name] ?? ''),
  );
}

/** A program that writes its arguments down and answers as it was told. */
const STAND_IN = `
const fs = require('node:fs');
const folder = process.env.FOLDER;
const call = process.argv.slice(2).join(' ');
const before = fs.existsSync(folder + '/calls') ? fs.readFileSync(folder + '/calls', 'utf8').split('\\n') : [];
fs.appendFileSync(folder + '/calls', call + '\\n');
const found = JSON.parse(fs.readFileSync(folder + '/answers.json', 'utf8')).find(([part]) => call.includes(part));
if (found !== undefined) {
  const [part, lines] = found;
  if (lines.fails !== undefined) {
    process.stderr.write(lines.fails + '\\n');
    process.exit(1);
  }
  const earlier = before.filter((line) => line.includes(part)).length;
  process.stdout.write(lines[Math.min(earlier, lines.length - 1)] + '\\n');
}
`;
