import { ApiRefusal, type ApiClient } from './api-client.ts';
import type { Repository } from './repository.ts';
import type { BasicCredentials } from './tag-list.ts';

interface DockerConfig {
  readonly auths?: Readonly<
    Record<
      string,
      { readonly auth?: string; readonly username?: string; readonly password?: string }
    >
  >;
}

/**
 * The credentials that a spec names for its registry: those of its image pull Secret, none where it
 * names no Secret or the Secret has none for that host.
 * @throws Error in Flux's words where the Secret cannot be read or the provider is no local one
 */
export async function credentialsOf(
  { spec, metadata }: Repository,
  registry: string,
  api: ApiClient,
): Promise<BasicCredentials | undefined> {
  if (spec.provider !== undefined && spec.provider !== 'generic') {
    throw failure(`provider '${spec.provider}' has no login outside its cloud`);
  }
  if (spec.secretRef === undefined) return undefined;
  const { name } = spec.secretRef;
  const data = await readSecret(api, metadata.namespace, name);
  const encoded = data['.dockerconfigjson'];
  if (encoded === undefined) throw failure(`secret '${name}' has no .dockerconfigjson`);
  const { auths = {} } = JSON.parse(Buffer.from(encoded, 'base64').toString()) as DockerConfig;
  const entry = auths[registry] ?? auths[`https://${registry}`] ?? auths[`https://${registry}/v1/`];
  if (entry === undefined) return undefined;
  const [username = '', ...password] = Buffer.from(entry.auth ?? '', 'base64')
    .toString()
    .split(':');
  return {
    username: entry.username ?? username,
    password: entry.password ?? password.join(':'),
  };
}

async function readSecret(
  api: ApiClient,
  namespace: string,
  name: string,
): Promise<Readonly<Record<string, string>>> {
  try {
    return await api.secret(namespace, name);
  } catch (error) {
    const missing = error instanceof ApiRefusal && error.status === 404;
    throw failure(missing ? `secrets "${name}" not found` : String(error));
  }
}

function failure(why: string): Error {
  return new Error(`failed to configure authentication options: ${why}`);
}
