import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';

import { findProgram, isFound, type Found, type Search } from './found.ts';

/** What a tool has answered. */
export interface ToolAnswer {
  /** 0 when it succeeded. */
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** The longest a tool may take; they speak to loopback alone. */
const timeoutMs = 60_000;

/** The largest output taken: a manifest of 4 MiB and some more. */
const maxOutputBytes = 8 * 1024 * 1024;

/** go-containerregistry's command. */
export function findCrane(): Search {
  return findGo('crane', 'go-containerregistry', ['version']);
}

/** The same, with Google's recursive copy. */
export function findGcrane(): Search {
  return findGo('gcrane', 'go-containerregistry', ['version']);
}

/** regclient's command. */
export function findRegctl(): Search {
  return findGo('regctl', 'regclient', ['version']);
}

/** regclient's mirroring command. */
export function findRegsync(): Search {
  return findGo('regsync', 'regclient', ['version']);
}

/** containers/image's command. */
export function findSkopeo(): Search {
  return findProgram({
    name: 'skopeo',
    versionArgs: ['--version'],
    version: /skopeo version (\S+)/,
    remedy: 'apt-get install skopeo',
  });
}

/** Kubernetes' command; it builds kustomizations too. */
export function findKubectl(): Search {
  return findProgram({
    name: 'kubectl',
    versionArgs: ['version', '--client'],
    version: /Client Version: v(\S+)/,
    remedy: 'KUBEBUILDER_ASSETS, or bash .ci/servers.sh kubernetes',
  });
}

/** Runs a tool to its end; a failure is an answer. `env` is added to this process's environment. */
export function runTool(
  tool: Found,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ToolAnswer> {
  return new Promise((resolve) => {
    const child = execFile(
      tool.path,
      args,
      {
        encoding: 'buffer',
        timeout: timeoutMs,
        maxBuffer: maxOutputBytes,
        env: { ...process.env, ...env },
      },
      (error, stdout, stderr) => {
        const exitCode = error === null ? 0 : (child.exitCode ?? 1);
        resolve({ exitCode, stdout, stderr: stderr.toString() });
      },
    );
  });
}

/** A reader of registries that is not ours: what it says is the second opinion on a digest. */
export interface DigestReader {
  readonly name: string;
  /** `sha256:<hex>` of the manifest behind a reference `127.0.0.1:PORT/name:tag`, spoken to over http. Throws an Error with the tool's message. */
  digestOf(reference: string): Promise<string>;
}

/** The readers this machine has; none is an empty list. */
export function findDigestReaders(): readonly DigestReader[] {
  return [skopeoReader(findSkopeo()), craneReader(findCrane()), regctlReader(findRegctl())].filter(
    (reader) => reader !== undefined,
  );
}

function skopeoReader(tool: Search): DigestReader | undefined {
  if (!isFound(tool)) return undefined;
  return {
    name: tool.name,
    digestOf: async (reference) => {
      const args = ['inspect', '--raw', '--tls-verify=false', `docker://${reference}`];
      const manifest = await succeed(tool, args);
      return `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
    },
  };
}

function craneReader(tool: Search): DigestReader | undefined {
  if (!isFound(tool)) return undefined;
  return {
    name: tool.name,
    digestOf: async (reference) => {
      // --full-ref would name the repository too; without it the line is the digest alone.
      const line = await succeed(tool, ['digest', '--insecure', reference]);
      return line.toString().trim();
    },
  };
}

function regctlReader(tool: Search): DigestReader | undefined {
  if (!isFound(tool)) return undefined;
  return {
    name: tool.name,
    digestOf: async (reference) => {
      const host = reference.split('/')[0] ?? '';
      const args = ['--host', `reg=${host},tls=disabled`, 'manifest', 'head', reference];
      return (await succeed(tool, args)).toString().trim();
    },
  };
}

async function succeed(tool: Found, args: readonly string[]): Promise<Buffer> {
  const { exitCode, stdout, stderr } = await runTool(tool, args);
  if (exitCode !== 0) throw new Error(`${tool.name} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

function findGo(name: string, build: string, versionArgs: readonly string[]): Search {
  return findProgram({
    name,
    versionArgs,
    // crane prints its version alone, regctl a table that begins with it.
    version: /^(?:VCSTag:\s+)?v?(\d\S*)/,
    remedy: `bash .ci/servers.sh ${build}`,
  });
}
