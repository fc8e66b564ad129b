/**
 * The one form of a registry's host, in which hosts are compared: lower case, without the port 443 and
 * without the dot of a full domain name; addresses as the WHATWG URL Standard writes them
 * (`[0:0:0:0:0:0:0:1]` is `[::1]`). A port of its own stays.
 * @param host `HOST[:PORT]`
 * @throws Error where it is none
 */
export function canonicalHost(host: string): string {
  const url = URL.parse(`https://${host}/`);
  if (url?.pathname !== '/' || /[@/?#\\\s%]/.test(host)) {
    throw new Error(`wants HOST or HOST:PORT, not '${host}'`);
  }
  const name = url.hostname.replace(/\.$/, '');
  return url.port === '' ? name : `${name}:${url.port}`;
}

/** Docker Hub has several names in use; Flux canonicalises to this one. */
export const DOCKER_HUB = 'index.docker.io';

/** Whether a canonical host is one that Docker Hub's images are named by. */
export function isDockerHub(host: string): boolean {
  return host === 'docker.io' || host === DOCKER_HUB;
}
