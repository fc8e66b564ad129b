import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { spawn } from 'node:child_process';

import { makeScratch } from './servers/scratch.ts';

/** What a program answers with. */
export interface ProgramEnded {
  readonly code: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

/** A call of a program: its words, and its flags without their dashes; `--wait` alone is `true`. */
export interface ProgramCall {
  readonly words: readonly string[];
  readonly flags: Readonly<Record<string, string>>;
  /** All arguments as they were given. */
  readonly args: readonly string[];
}

/** Programs by name; each does what its real counterpart would. */
export type Programs = Readonly<
  Record<string, (call: ProgramCall) => ProgramEnded | Promise<ProgramEnded>>
>;

/** A shell in which only these programs are found, beside `date`. */
export interface ProgramShell {
  /** Every call so far: `gcloud pubsub subscriptions pull …`. */
  readonly calls: readonly string[];
  /** Runs a piece of a runbook by `bash -eu`. */
  run(script: string, env: Readonly<Record<string, string>>): Promise<Required<ProgramEnded>>;
  close(): Promise<void>;
}

/** Short flags of kubectl and curl that take a value. */
const WITH_VALUE = /^-[nkH]$/;
/** Long flags whose value is the next word. */
const NEXT_WORD = new Set(['--data-urlencode']);

/** Starts it. A program is a script on PATH that asks this process and ends as it is told. */
export async function startProgramShell(programs: Programs): Promise<ProgramShell> {
  const calls: string[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const [name = '', ...args] = (await json(request)) as string[];
      calls.push([name, ...args].join(' '));
      let ended: ProgramEnded;
      try {
        ended = (await programs[name]?.(callOf(args))) ?? { code: 127 };
      } catch (error) {
        ended = { code: 2, stderr: `${name} ${args.join(' ')}: ${String(error)}\n` };
      }
      response.end(JSON.stringify(ended));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const scratch = await makeScratch('runbook-programs');
  const bin = join(scratch.path, 'bin');
  mkdirSync(bin);
  symlinkSync('/bin/date', join(bin, 'date'));
  for (const name of Object.keys(programs)) {
    const script =
      `#!${process.execPath}\n` +
      `const call = ${JSON.stringify([name])}.concat(process.argv.slice(2));\n` +
      `fetch('http://127.0.0.1:${port}/', { method: 'POST', body: JSON.stringify(call) })\n` +
      '  .then((answer) => answer.json())\n' +
      "  .then(({ code, stdout = '', stderr = '' }) => {\n" +
      '    process.stdout.write(stdout);\n' +
      '    process.stderr.write(stderr);\n' +
      '    process.exitCode = code;\n' +
      '  });\n';
    writeFileSync(join(bin, name), script, { mode: 0o755 });
  }
  return {
    calls,
    run: async (script, env) => {
      const child = spawn('/bin/bash', ['-euc', script], {
        cwd: scratch.path,
        env: { PATH: bin, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let [stdout, stderr] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
      return { code: code ?? 1, stdout, stderr };
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await scratch.remove();
    },
  };
}

function callOf(args: readonly string[]): ProgramCall {
  const words: string[] = [];
  const flags: Record<string, string> = {};
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (WITH_VALUE.test(arg) || NEXT_WORD.has(arg)) {
      at += 1;
      flags[arg.replace(/^-+/, '')] = args[at] ?? '';
    } else if (arg.startsWith('--') && arg !== '--') {
      const [name = '', ...value] = arg.slice(2).split('=');
      flags[name] = value.length === 0 ? 'true' : value.join('=');
    } else words.push(arg);
  }
  return { words, flags, args };
}

/** Pieces of a shell block: each command with its continuation lines, comments left out. */
export function commandsOf(block: string): readonly string[] {
  return block
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** Shell blocks of a section of a Markdown page. @throws Error where there is no such section */
export function shellBlocks(page: string, section: string): readonly string[] {
  const text = page.split(/^## /m).find((one) => one.startsWith(`${section}\n`));
  if (text === undefined) throw new Error(`the page has no section ${section}`);
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '');
}
