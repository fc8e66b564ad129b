import { spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import type { GoogleApis } from '../../stand-ins/google-apis/google-apis.ts';

/** Where `.ci/servers.sh` keeps what it builds. */
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'imagerepo-mirror');

/** CLI configuration that names the provider's mirror, or undefined where the provider is not built. */
function providerSettings(): string | undefined {
  const named = process.env['TF_CLI_CONFIG_FILE'];
  if (named !== undefined && existsSync(named)) return named;
  return globSync('google-provider/*/terraform.rc', { cwd: CACHE })
    .map((file) => join(CACHE, file))
    .at(0);
}

function hasTerraform(): boolean {
  return (process.env['PATH'] ?? '')
    .split(':')
    .some((folder) => existsSync(join(folder, 'terraform')));
}

/** Why nothing can be applied on this machine; undefined where it can. */
export function missingTerraform(): string | undefined {
  if (!hasTerraform()) return 'terraform is not installed';
  if (providerSettings() === undefined) {
    return 'the google provider is not built (bash .ci/servers.sh google-provider)';
  }
  return undefined;
}

/** What a run of Terraform printed, and its exit code. */
export interface Run {
  readonly code: number;
  readonly output: string;
}

/** One root configuration with its state, applied to the stand-in of Google's APIs. */
export class Root {
  readonly folder: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #apis: GoogleApis;

  constructor(folder: string, apis: GoogleApis) {
    this.folder = folder;
    this.#apis = apis;
    this.#env = {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      TF_CLI_CONFIG_FILE: providerSettings(),
      TF_IN_AUTOMATION: '1',
      CHECKPOINT_DISABLE: '1',
      // Short-lived Go programs spend a quarter of their time on collecting what their end would free.
      GOGC: '400',
      GOMEMLIMIT: '300MiB',
      ...apis.env,
    };
  }

  async init(): Promise<void> {
    await this.#expect(['init', '-backend=false', '-input=false']);
  }

  /** Applies, and fails with Terraform's words where it does not pass in one go. */
  async apply(...args: readonly string[]): Promise<void> {
    await this.#expect(['apply', '-auto-approve', '-input=false', ...args]);
  }

  async destroy(...args: readonly string[]): Promise<Run> {
    return this.run(['destroy', '-auto-approve', '-input=false', ...args]);
  }

  /** Exit code 0: nothing is to be changed; 2: something is; 1: an error. */
  async plan(...args: readonly string[]): Promise<Run> {
    return this.run(['plan', '-detailed-exitcode', '-input=false', '-lock=false', ...args]);
  }

  /** Addresses of what the state holds, data sources left out. */
  async state(): Promise<readonly string[]> {
    const { output } = await this.run(['state', 'list']);
    return output
      .split('\n')
      .filter((line) => line !== '' && !/(^|\.)data\./.test(line))
      .sort();
  }

  async run(args: readonly string[]): Promise<Run> {
    const child = spawn('terraform', [`-chdir=${this.folder}`, ...args, '-no-color'], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (exit) => {
        resolve(exit ?? 1);
      });
    });
    return { code, output };
  }

  async #expect(args: readonly string[]): Promise<void> {
    const { code, output } = await this.run(args);
    if (code !== 0)
      throw new Error(`terraform ${args[0] ?? ''} exits with ${code}:\n${errorsOf(output)}`);
  }

  /** The stand-in that this root is applied to. */
  get apis(): GoogleApis {
    return this.#apis;
  }
}

/** Writes a root that calls the module with these arguments, each a value of JSON, beside resources of its own. */
export function writeRoot(folder: string, module: string, args: object, resource?: object): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'main.tf.json'),
    JSON.stringify({
      provider: { google: { project: 'my-project', region: 'europe-west1' } },
      ...(resource === undefined ? {} : { resource }),
      module: { imagerepo_mirror: { source: module, ...args } },
    }),
  );
}

/** What Terraform says went wrong, without the plan before it. */
function errorsOf(output: string): string {
  const at = output.search(/^(Error:|Planning failed)/m);
  return at === -1 ? output : output.slice(at);
}
