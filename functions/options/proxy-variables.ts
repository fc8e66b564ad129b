import http from 'node:http';
import https from 'node:https';

/** Names that curl, Node's own client, Google's and gRPC's libraries read, in either case. */
const PROXY_VARIABLE = /^(?:(?:https?|all|grpc|no|no_grpc)_proxy|node_use_env_proxy)$/i;

/**
 * Takes the proxy variables out of a process's environment. What the project sends itself does not
 * look at them, since it checks addresses when a connection is made; the token requests of Google's
 * library and gRPC would, and would then speak to another host than the rest. Programs that are
 * started, such as a credential plugin, do not see them either.
 * @returns the names that were set
 */
export function ignoreProxyVariables(env: NodeJS.ProcessEnv = process.env): readonly string[] {
  const names = Object.keys(env).filter((name) => PROXY_VARIABLE.test(name) && env[name] !== '');
  for (const name of names) Reflect.deleteProperty(env, name);
  // With NODE_USE_ENV_PROXY or --use-env-proxy Node has read them at its start.
  http.globalAgent = new http.Agent({ keepAlive: true });
  https.globalAgent = new https.Agent({ keepAlive: true });
  return names.sort();
}
