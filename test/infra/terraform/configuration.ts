import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parse } from '@cdktf/hcl2json';

/** A block's arguments and inner blocks, as hcl2json has them: expressions are texts `${…}`. */
export type Block = Readonly<Record<string, unknown>>;

/** One block with its labels: `resource "google_pubsub_topic" "lane"`. */
export interface Named {
  readonly file: string;
  readonly type: string;
  readonly name: string;
  readonly body: Block;
}

/** All files of one folder of Terraform, read as one configuration. */
export interface Configuration {
  readonly resources: readonly Named[];
  readonly variables: readonly Named[];
  readonly outputs: readonly Named[];
  readonly locals: Block;
  readonly providers: Block;
  /** The texts of the files, by name. */
  readonly texts: Readonly<Record<string, string>>;
}

/** Folder of the module. */
export const MODULE = fileURLToPath(new URL('../../../infra/terraform', import.meta.url));

/** Folders of the examples. */
export const EXAMPLES: readonly string[] = globSync('examples/*/', { cwd: MODULE })
  .sort()
  .map((folder) => join(MODULE, folder));

/** Reads the `.tf` files of a folder, without Terraform and without its provider. */
export async function readConfiguration(folder: string): Promise<Configuration> {
  const files = globSync('*.tf', { cwd: folder }).sort();
  const texts = Object.fromEntries(
    files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]),
  );
  const parsed = await Promise.all(
    Object.entries(texts).map(async ([file, text]) => ({
      file: basename(file),
      root: (await parse(file, text)) as Root,
    })),
  );
  return {
    resources: parsed.flatMap(({ file, root }) =>
      Object.entries(root.resource ?? {}).flatMap(([type, byName]) =>
        Object.entries(byName).map(([name, [body = {}]]) => ({ file, type, name, body })),
      ),
    ),
    variables: parsed.flatMap(({ file, root }) => single(file, 'variable', root.variable)),
    outputs: parsed.flatMap(({ file, root }) => single(file, 'output', root.output)),
    locals: Object.assign({}, ...parsed.flatMap(({ root }) => root.locals ?? [])) as Block,
    providers: Object.assign(
      {},
      ...parsed.flatMap(({ root }) => root.terraform ?? []).map((block) => block),
    ) as Block,
    texts,
  };
}

/** The one block of that name within another, or undefined. */
export function inner(block: Block | undefined, name: string): Block | undefined {
  const found = block?.[name];
  return Array.isArray(found) ? (found[0] as Block | undefined) : undefined;
}

/** All blocks of that name within another. */
export function all(block: Block, name: string): readonly Block[] {
  const found = block[name];
  return Array.isArray(found) ? (found as Block[]) : [];
}

interface Root {
  readonly resource?: Readonly<Record<string, Readonly<Record<string, readonly Block[]>>>>;
  readonly variable?: Readonly<Record<string, readonly Block[]>>;
  readonly output?: Readonly<Record<string, readonly Block[]>>;
  readonly locals?: readonly Block[];
  readonly terraform?: readonly Block[];
}

function single(
  file: string,
  type: string,
  byName: Readonly<Record<string, readonly Block[]>> = {},
): readonly Named[] {
  return Object.entries(byName).map(([name, [body = {}]]) => ({ file, type, name, body }));
}
