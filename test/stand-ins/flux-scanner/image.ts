/** An image as its registry is asked for it. */
export interface Image {
  /** Host with port, such as `index.docker.io`. */
  readonly registry: string;
  /** Path, such as `library/alpine`. */
  readonly repository: string;
  /** Both, joined: `status.canonicalImageName`. */
  readonly canonicalName: string;
}

const DOCKER_HUB = 'index.docker.io';
const REGISTRY = /^[a-zA-Z0-9.-]+(?::\d+)?$|^\[[0-9a-fA-F:]+\](?::\d+)?$/;
const REPOSITORY = /^[a-z0-9_./-]{2,255}$/;

/**
 * Reads `spec.image` as Flux does: a repository, with or without a registry, never with scheme, tag
 * or digest.
 * @throws Error with Flux's words
 */
export function parseImage(text: string): Image {
  const scheme = text.indexOf('://');
  if (scheme >= 0) {
    const prefix = text.slice(0, scheme + 3);
    throw new Error(`image '${text}' should not include URL scheme; remove '${prefix}'`);
  }
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const named = /[.:]/.test(first) || first === 'localhost';
  const rest = named ? text.slice(slash + 1) : text;
  const colon = rest.indexOf(':');
  if (colon >= 0) {
    throw new Error(`image '${text}' should not include a tag; remove '${rest.slice(colon)}'`);
  }
  const given = named ? first : DOCKER_HUB;
  const registry = given === 'docker.io' ? DOCKER_HUB : given;
  const repository =
    registry === DOCKER_HUB && rest !== '' && !rest.includes('/') ? `library/${rest}` : rest;
  if (!REGISTRY.test(registry) || !REPOSITORY.test(repository)) {
    throw new Error(`could not parse reference: ${text}`);
  }
  return { registry, repository, canonicalName: `${registry}/${repository}` };
}
