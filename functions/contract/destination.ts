import { MirrorError, printable } from '../errors.ts';
import { canonicalHost, DOCKER_HUB, isDockerHub } from './host.ts';

/** How a destination path is made of an image name. */
export const DESTINATION_LAYOUTS = ['host-path', 'path', 'name'] as const;

/** See {@link DESTINATION_LAYOUTS}. */
export type DestinationLayout = (typeof DESTINATION_LAYOUTS)[number];

/**
 * A repository at a registry, such as host `ghcr.io` (with port where it has one) and path `org/app`. The
 * host is in its one written form: lower case, IPv6 as RFC 5952 shortens it.
 */
export interface RepositoryName {
  readonly host: string;
  readonly path: string;
}

/** Longest `host/path` that the OCI grammar's users agree on, in characters. */
const MAX_NAME_LENGTH = 255;
/** OCI Distribution 1.1, "Pulling manifests": the grammar of `<name>`. */
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const HOST =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*\.?|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/;

/**
 * Splits a canonical image name (`registry/repository`, no tag, no digest, no scheme); the host comes
 * in its canonical form.
 * @throws MirrorError `REFERENCE_INVALID`
 */
export function parseImageName(image: string): RepositoryName {
  const slash = image.indexOf('/');
  const host = hostOf(image.slice(0, Math.max(slash, 0)));
  const path = image.slice(slash + 1);
  // guard: image-name
  if (host === undefined || !PATH.test(path) || image.length > MAX_NAME_LENGTH) {
    throw new MirrorError(
      'REFERENCE_INVALID',
      `'${printable(image)}' is no registry/repository without tag, digest or scheme`,
      { operation: 'parse image name' },
    );
  }
  return { host, path };
}

/**
 * A reader's short form made canonical as Flux does: `alpine` is `index.docker.io/library/alpine`,
 * `docker.io/org/app` is `index.docker.io/org/app`.
 * @throws MirrorError `REFERENCE_INVALID`
 */
export function canonicalImageName(image: string): string {
  const [first = '', ...rest] = image.split('/');
  const named = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const { host, path } = parseImageName(named ? image : `${DOCKER_HUB}/${image}`);
  if (!isDockerHub(host)) return `${host}/${path}`;
  return `${DOCKER_HUB}/${path.includes('/') ? path : `library/${path}`}`;
}

/** The canonical form of a host; undefined: it is none. */
function hostOf(text: string): string | undefined {
  return HOST.test(text) && URL.canParse(`https://${text}/`) ? canonicalHost(text) : undefined;
}

/**
 * Checks the registry that images are mirrored into: `HOST[:PORT][/PATH]`, on Artifact Registry
 * `LOCATION-docker.pkg.dev/PROJECT/REPOSITORY`. The path is empty where images lie directly below the host.
 * @throws MirrorError `REFERENCE_INVALID` saying what is wrong
 */
export function parseDestinationRegistry(registry: string): RepositoryName {
  const refuse = (reason: string): never => {
    throw new MirrorError('REFERENCE_INVALID', reason, { operation: 'parse destination registry' });
  };
  if (registry === '') refuse('is empty: name the registry to mirror into');
  const [first = '', ...segments] = registry.split('/');
  const path = segments.join('/');
  if (registry.includes('://')) refuse(`'${printable(registry)}' must not have a scheme`);
  const host = hostOf(first) ?? refuse(`'${printable(registry)}' does not begin with a host`);
  if (segments.length > 0 && !PATH.test(path)) {
    refuse(`'${printable(registry)}' has a path outside the OCI grammar`);
  }
  if (host.endsWith('.pkg.dev') && segments.length < 2) {
    refuse(`'${printable(registry)}' needs HOST/PROJECT/REPOSITORY on Artifact Registry`);
  }
  return { host, path };
}

/**
 * Path below the destination registry for an image, by the layout: `host-path`
 * (`docker.io/org/app`, one to one), `path` (`org/app`), `name` (`app`). A port's `:` becomes `_`; an
 * IPv6 address is written in full after `ipv6__`, which no other host can begin with:
 * `[::1]:5000` is `ipv6__0-0-0-0-0-0-0-1_5000`.
 * @throws MirrorError `REFERENCE_INVALID`
 */
export function destinationPath(image: string, layout: DestinationLayout): string {
  const { host, path } = parseImageName(image);
  if (layout === 'path') return path;
  if (layout === 'name') return path.slice(path.lastIndexOf('/') + 1);
  const below = `${host === DOCKER_HUB ? 'docker.io' : segmentOf(host)}/${path}`;
  return requirePath(below);
}

/** A canonical host as one segment of a path. */
function segmentOf(host: string): string {
  const [, address, port = ''] = /^\[(.+)\](.*)$/.exec(host) ?? [];
  if (address === undefined) return host.replace(':', '_');
  const [before = [], after = []] = address
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return `ipv6__${[...before, ...zeros, ...after].join('-')}${port.replace(':', '_')}`;
}

/** A path of the OCI grammar. @throws MirrorError `REFERENCE_INVALID` */
export function requirePath(path: string): string {
  // guard: repository-path
  if (!PATH.test(path) || path.length > MAX_NAME_LENGTH) {
    throw new MirrorError('REFERENCE_INVALID', `'${printable(path)}' is no repository path`, {
      operation: 'parse destination path',
    });
  }
  return path;
}
