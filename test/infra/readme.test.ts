import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, it } from 'node:test';

import { parse as parseHcl } from '@cdktf/hcl2json';
import { format } from 'prettier';
import { parseAllDocuments } from 'yaml';

import { bridgeOptions } from '../../bridge/options.ts';
import { ERRORS } from '../../functions/errors.ts';
import { jobOptions } from '../../functions/job-options.ts';
import { subscriberOptions } from '../../functions/option-tables.ts';
import type { OptionTable } from '../../functions/options/option.ts';
import { FUNCTION_METRICS } from '../../functions/telemetry/metrics-catalogue.ts';
import { commandsOf } from '../real/runbook-programs.ts';
import { namesIn, requireKnown } from './names.ts';
import { ROOT, scratchFolder } from './scratch.ts';
import { EXAMPLES, MODULE, readConfiguration } from './terraform/configuration.ts';
import { SITUATIONS } from './terraform/situations.ts';

const file = join(ROOT, 'infra/README.md');
const text = readFileSync(file, 'utf8');
const { variables, outputs } = await readConfiguration(MODULE);

/** What the page says that its reader has set: the project, the region, and the outputs of bootstrap. */
const ASSUMED = {
  PROJECT: 'my-project',
  REGION: 'europe-west1',
  IMAGE: 'europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror',
  STAGING: 'gs://my-project-imagerepo-mirror-source/source',
};

/** Code blocks of a language. */
function blocks(language: string): readonly string[] {
  return namesIn(text, new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, 'gm'));
}

/** Commands of the shell blocks, continuation lines joined, comments left out. */
const commands = blocks('sh').flatMap(commandsOf);

function flagsOf(table: OptionTable): readonly string[] {
  return Object.values(table).flatMap(({ flag }) => flag ?? []);
}

/** Long flags that a command is given. */
function flagsIn(words: string): readonly string[] {
  return [...words.matchAll(/(?<=^|[\s,])--[a-z][a-z-]*/g)].map((match) => match[0]);
}

function row(...cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

/** The first sentence of a description. */
function sentence(description: unknown): string {
  return /^.*?\.(?= |$)/.exec(String(description).replaceAll(/\s+/g, ' ').trim())?.[0] ?? '';
}

const topics = namesIn(text, /^## (.+)$/gm);

/** Where a topic is linked to. */
function anchorOf(topic: string): string {
  return topic
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, '')
    .replaceAll(/\s/g, '-');
}

const tables: Readonly<Record<string, readonly string[]>> = {
  variables: [
    row('variable', 'default', 'meaning'),
    row('---', '---', '---'),
    ...variables.map(({ name, body }) =>
      row(
        `\`${name}\``,
        'default' in body ? `\`${JSON.stringify(body['default'])}\`` : 'required',
        sentence(body['description']),
      ),
    ),
  ],
  alerts: [
    row('alert', 'situation', 'sees'),
    row('---', '---', '---'),
    ...SITUATIONS.map(({ alert, situation, sees }) =>
      row(alert.replace('prod', 'CLUSTER'), situation, sees),
    ),
  ],
  metrics: [
    row('metric', 'unit', 'labels', 'meaning'),
    row('---', '---', '---', '---'),
    ...FUNCTION_METRICS.map(({ name, unit, labels, help }) =>
      row(`\`${name}\``, unit, Object.keys(labels).join(', '), help),
    ),
  ],
};

async function withCurrentTables(): Promise<string> {
  let current = text;
  for (const [name, rows] of Object.entries(tables)) {
    const between = new RegExp(`(<!-- terraform: ${name} -->\n)[\\s\\S]*?(<!-- /terraform -->)`);
    assert.match(current, between, name);
    const table = await format(rows.join('\n'), { parser: 'markdown' });
    current = current.replace(
      between,
      (_all, begin: string, end: string) => `${begin}\n${table}\n${end}`,
    );
  }
  return current;
}

describe("the operator's documentation", () => {
  it('has the tables of the module and of the catalogue', async () => {
    const current = await withCurrentTables();
    if (process.env['UPDATE_README'] === 'true') writeFileSync(file, current);
    else assert.equal(text, current, 'UPDATE_README=true npm test -- test/infra/readme.test.ts');
  });

  it('is one screen a topic', () => {
    for (const section of text.split(/^## /m).slice(1)) {
      const lines = section.split('\n').length;
      assert.ok(lines <= 75, `${section.split('\n')[0] ?? ''}: ${lines} lines`);
    }
  });

  it('links to what is there', () => {
    const anchors = topics.map(anchorOf);
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (target.startsWith('http')) continue;
      if (target.startsWith('#')) assert.ok(anchors.includes(target.slice(1)), target);
      else assert.ok(existsSync(join(dirname(file), target.split('#')[0] ?? '')), target);
    }
  });

  it('lists every topic at the top', () => {
    const contents = text.slice(0, text.indexOf('\n## '));
    for (const anchor of topics.map(anchorOf)) {
      assert.ok(contents.includes(`(#${anchor})`), anchor);
    }
  });
});

describe('the commands of infra/README.md', () => {
  /** What every shell has, and what only sets a variable. */
  const always = new Set(['grep', 'date', 'printf', 'echo']);

  it('need no program that the requirements do not name', () => {
    const tools = /^- \*\*Tools\*\*:([\s\S]*?)^- /m.exec(text)?.[1] ?? '';
    const named = new Set(namesIn(tools, /`([a-z]+)`/g));
    const used = new Set(
      commands
        .flatMap((command) => command.split(/ \| |\$\(/))
        .map((part) => /^[a-z]+/.exec(part.trim().replace(/^(?:[A-Z]+=\S*\s*)+/, ''))?.[0] ?? '')
        .filter((program) => program !== '' && !always.has(program)),
    );
    assert.deepEqual([...used].sort(), [...named].sort());
  });

  it('ask every pod of the bridge for its log: one of the two does not lead', () => {
    for (const command of commands) {
      assert.doesNotMatch(command, /kubectl .*logs deployment\//);
    }
  });
});

describe('commands of the documentation', () => {
  it('give the job flags that it has', () => {
    const given = commands
      .filter((command) => command.includes('gcloud run jobs execute'))
      .flatMap((command) =>
        flagsIn((/--args=(\S+)/.exec(command)?.[1] ?? '').replaceAll(',', ' ')),
      );
    assert.ok(given.length > 5);
    requireKnown(given, flagsOf(jobOptions));
  });

  it('give the bridge flags that it has', () => {
    const given = commands
      .filter((command) => /npm run bridge|bridge\.js/.test(command))
      .flatMap((command) => flagsIn(command.slice(command.search(/ -- |bridge\.js/))));
    assert.ok(given.length > 5);
    const named = namesIn(text, /`(--[a-z-]+)=?[^`]*` of the bridge/g);
    const sharding = namesIn(text, /`(--watch-[a-z-]+)/g);
    requireKnown([...given, ...named, ...sharding], flagsOf(bridgeOptions));
  });

  it('ask Terraform for outputs that are there', async () => {
    const asked = namesIn(text, /terraform \S*\s*output -raw (\w+)/g);
    assert.ok(asked.length > 0);
    const bootstrap = EXAMPLES.find((folder) => basename(folder) === 'bootstrap');
    const known = (await readConfiguration(bootstrap ?? '')).outputs.map(({ name }) => name);
    requireKnown(asked, known);
  });

  it('name outputs of the module that are there', () => {
    const known = outputs.map(({ name }) => name);
    const named = namesIn(text, /# output (\w+)/g);
    assert.ok(named.length >= 4);
    requireKnown(named, known);
  });

  it('use the names that Terraform makes', () => {
    const known = [
      ...['events', 'bulk', 'dead-letter', 'flux-events', 'job', 'docker-config', 'mirror'],
      // The account of examples/bootstrap and the Kubernetes objects.
      ...['build', 'bridge', 'backfill'],
    ];
    const used = namesIn(text, /imagerepo-mirror-([a-z]+(?:-[a-z]+)*)/g);
    assert.ok(used.length > 20);
    requireKnown(used, known);
  });

  it('say which project and region they are about', () => {
    for (const command of commands) {
      if (!/^gcloud (run|pubsub|builds|logging|secrets)/.test(command)) continue;
      assert.match(command, /--project=\$PROJECT/, command);
      if (command.startsWith('gcloud run')) assert.match(command, /--region=\$REGION/, command);
    }
  });

  it('run npm scripts that are there', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    for (const script of namesIn(text, /npm run ([\w:-]+)/g)) {
      assert.ok(script in scripts, script);
    }
  });
});

/** Programs of the requirements, and of the registries' world; a runbook needs no other. */
const PROGRAMS = ['crane', 'curl', 'flux', 'gcloud', 'git', 'kubectl', 'npm', 'terraform'];

describe('runbooks', () => {
  for (const [index, block] of blocks('sh').entries()) {
    const [first = ''] = block.split('\n').filter((line) => !line.startsWith('#'));
    it(`can be run as written: ${index} ${first.slice(0, 60)}`, (t) => {
      const folder = scratchFolder(t);
      const calls = join(folder, 'calls');
      for (const program of PROGRAMS) {
        // Writes its arguments down, one call a line, and answers with a word.
        const script = `#!/bin/sh\nprintf '%s' "${program}" >> ${calls}\nfor a in "$@"; do printf ' [%s]' "$a" >> ${calls}; done\necho >> ${calls}\necho 'answer"published'\n`;
        writeFileSync(join(folder, program), script, { mode: 0o755 });
      }
      symlinkSync('/bin/date', join(folder, 'date'));
      symlinkSync('/usr/bin/grep', join(folder, 'grep'));
      const { status, stderr } = spawnSync('/bin/bash', ['-euc', block], {
        cwd: folder,
        env: { PATH: folder, ...ASSUMED },
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      assert.equal(status, 0, stderr);
      // BSD's date knows no -d; nothing is missing, and no variable is empty that a step before should set.
      assert.doesNotMatch(block, /date [^)]*-d |\bjq\b/);
      const made = existsSync(calls) ? readFileSync(calls, 'utf8') : '';
      assert.doesNotMatch(made, /\[\]|=\]/, 'an empty argument');
    });
  }
});

describe('examples of the documentation', () => {
  it('give the module variables that it has', async () => {
    const known = ['source', ...variables.map(({ name }) => name)];
    for (const block of blocks('hcl')) {
      const parsed = (await parseHcl('example.tf', block)) as {
        readonly module: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;
      };
      const given = Object.keys(parsed.module['imagerepo_mirror']?.[0] ?? {});
      assert.notEqual(given.length, 0);
      requireKnown(given, known);
    }
  });

  it('are YAML that a cluster can read', () => {
    const kinds = blocks('yaml').flatMap((block) =>
      parseAllDocuments(block).map((document) => {
        assert.deepEqual(document.errors, []);
        return (document.toJS() as { readonly kind: string }).kind;
      }),
    );
    assert.deepEqual(kinds, [
      'GitRepository',
      'Kustomization',
      'ImageRepository',
      'Provider',
      'Alert',
    ]);
  });

  it('set the bridge by variables that it reads', () => {
    const known = Object.values<OptionTable[string]>(bridgeOptions).flatMap(({ env }) => env ?? []);
    const patch = blocks('yaml').find((block) => block.includes('kind: Kustomization')) ?? '';
    const set = namesIn(patch, /- name: ([A-Z_]+)/g);
    assert.ok(set.length >= 5);
    requireKnown(set, known);
  });
});

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: {
    readonly template?: { readonly spec: { readonly containers: readonly { name: string }[] } };
  };
}

/** The bridge's manifests, without kustomize's own files. */
function manifests(): readonly Manifest[] {
  return globSync('infra/kubernetes/base/*.yaml', { cwd: ROOT })
    .filter((path) => basename(path) !== 'kustomization.yaml')
    .flatMap((path) =>
      parseAllDocuments(readFileSync(join(ROOT, path), 'utf8')).map(
        (document) => document.toJS() as Manifest,
      ),
    );
}

describe('names that the manifests, Terraform and the documentation share', () => {
  const found = manifests();
  const skip = found.length === 0 ? 'there are no manifests' : false;
  const nameOf = (kind: string): string | undefined =>
    found.find((manifest) => manifest.kind === kind)?.metadata.name;

  it('are the namespace and the service account of bridge_principals', { skip }, () => {
    const type = String(variables.find(({ name }) => name === 'bridge_principals')?.body['type']);
    const defaultOf = (field: string): string | undefined =>
      new RegExp(`${field}\\s*=\\s*optional\\(string, "([^"]+)"\\)`).exec(type)?.[1];
    assert.equal(defaultOf('namespace'), nameOf('Namespace'));
    assert.equal(defaultOf('service_account'), nameOf('ServiceAccount'));
    assert.ok(text.includes(`kubectl -n ${nameOf('Namespace') ?? ''} `));
  });

  it("are the Deployment and the container of the example's patch", { skip }, () => {
    const deployment = found.find(({ kind }) => kind === 'Deployment');
    const container = deployment?.spec?.template?.spec.containers[0]?.name ?? '';
    const kustomization =
      blocks('yaml').find((block) => block.includes('kind: Kustomization')) ?? '';
    assert.ok(kustomization.includes(`name: ${deployment?.metadata.name ?? ''}\n`));
    assert.ok(kustomization.includes(`- name: ${container}\n`));
    const path = /path: \.\/(\S+)/.exec(kustomization)?.[1] ?? '';
    assert.ok(existsSync(join(ROOT, path)), path);
  });
});

describe('words of the documentation', () => {
  it('name faults, options and variables that there are', () => {
    const env = [subscriberOptions, jobOptions, bridgeOptions].flatMap((table: OptionTable) =>
      Object.values(table).flatMap(({ env }) => env ?? []),
    );
    const words = namesIn(text, /`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g);
    assert.ok(words.length > 10);
    requireKnown(words, [...Object.keys(ERRORS), ...env]);
  });

  it('name annotations that there are, and all of them', () => {
    const source = readFileSync(join(ROOT, 'bridge/flux/annotations.ts'), 'utf8');
    const list = /const NAMES = \[([^\]]+)\]/.exec(source)?.[1] ?? '';
    const known = namesIn(list, /'([\w-]+)'/g);
    const used = namesIn(text, /imagerepo-mirror\.io\/([\w-]+)/g);
    requireKnown(used, known);
    const section = /^## Annotations\n([\s\S]*?)^## /m.exec(text)?.[1] ?? '';
    for (const name of known) assert.ok(section.includes(`\`${name}\``), name);
  });

  it('explain every substitution of the builds', () => {
    for (const name of ['cloudbuild.yaml', 'infra/deploy.cloudbuild.yaml']) {
      const build = readFileSync(join(ROOT, name), 'utf8');
      for (const substitution of namesIn(build, /^ {2}(_[A-Z_]+):/gm)) {
        assert.ok(text.includes(`\`${substitution}\``), substitution);
      }
    }
  });

  it('name settings of `mirroring` that there are', () => {
    const type = String(variables.find(({ name }) => name === 'mirroring')?.body['type']);
    for (const name of namesIn(text, /`mirroring\.(\w+)`/g)) {
      assert.match(type, new RegExp(`\\b${name}\\b`));
    }
  });

  it('quote the alerts by their titles', async () => {
    const { locals } = await readConfiguration(MODULE);
    const titles = Object.values(locals['alert_texts'] as Record<string, { title: string }>);
    for (const title of namesIn(text, /alert "([^"]+)"/g)) {
      assert.ok(
        titles.some((alert) => alert.title === title),
        title,
      );
    }
  });
});
