import { readFileSync } from 'node:fs';

import { parse } from 'yaml';

import type { Schema } from './schema.ts';

const crdFile = new URL('../../../infra/kubernetes/crd/imagerepositories.yaml', import.meta.url);

/** Schema of an ImageRepository of `image.toolkit.fluxcd.io/v1`: that of the definition that clusters without Flux are given. */
export const imageRepositorySchema: Schema = readSchema();

function readSchema(): Schema {
  const definition = parse(readFileSync(crdFile, 'utf8')) as {
    readonly spec: {
      readonly versions: readonly {
        readonly name: string;
        readonly schema: { readonly openAPIV3Schema: Schema };
      }[];
    };
  };
  const version = definition.spec.versions.find(({ name }) => name === 'v1');
  if (version === undefined) throw new Error(`${crdFile.pathname} has no version v1`);
  return version.schema.openAPIV3Schema;
}
