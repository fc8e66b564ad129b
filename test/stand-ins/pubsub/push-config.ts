import { requireArgument } from './refusal.ts';
import type { WirePushConfig } from './wire.ts';

/** How a subscription pushes. */
export interface PushConfig {
  readonly endpoint: string;
  /** `wrapped`: the message as JSON; `unwrapped`: its data alone; `unwrapped-with-metadata`: headers tell the rest. */
  readonly format: 'wrapped' | 'unwrapped' | 'unwrapped-with-metadata';
  /** Whose identity token each request bears; absent: none. */
  readonly oidc?: { readonly email: string; readonly audience: string };
}

/**
 * Reads a push configuration; an empty one means pull. The product wants https, here http is
 * taken too: everything is on one machine.
 * @throws Refusal `INVALID_ARGUMENT`
 */
export function readPushConfig(wire: WirePushConfig | null): PushConfig | undefined {
  if (wire === null || wire.pushEndpoint === '') {
    requireArgument(
      wire?.noWrapper == null && wire?.oidcToken == null,
      'push_config without push_endpoint takes neither no_wrapper nor oidc_token',
    );
    return undefined;
  }
  requireEndpoint(wire.pushEndpoint);
  const version = wire.attributes['x-goog-version'];
  requireArgument(
    version === undefined || version === 'v1' || version === 'v1beta2',
    `push_config.attributes: x-goog-version ${version ?? ''} is not supported`,
  );
  const oidc = readOidc(wire);
  return {
    endpoint: wire.pushEndpoint,
    format: formatOf(wire),
    ...(oidc === undefined ? {} : { oidc }),
  };
}

/** The push configuration as the API tells it. */
export function toWirePushConfig(config: PushConfig | undefined): WirePushConfig {
  if (config === undefined) return { pushEndpoint: '', attributes: {} };
  const { endpoint, format, oidc } = config;
  return {
    pushEndpoint: endpoint,
    attributes: { 'x-goog-version': 'v1' },
    ...(format === 'wrapped'
      ? {}
      : { noWrapper: { writeMetadata: format === 'unwrapped-with-metadata' } }),
    ...(oidc === undefined
      ? {}
      : {
          oidcToken: {
            serviceAccountEmail: oidc.email,
            // An audience that was not given is not told either: the endpoint stands for it.
            audience: oidc.audience === endpoint ? '' : oidc.audience,
          },
        }),
  };
}

function formatOf({ noWrapper }: WirePushConfig): PushConfig['format'] {
  if (noWrapper == null) return 'wrapped';
  return noWrapper.writeMetadata ? 'unwrapped-with-metadata' : 'unwrapped';
}

function readOidc({ oidcToken, pushEndpoint }: WirePushConfig): PushConfig['oidc'] {
  if (oidcToken == null) return undefined;
  const { serviceAccountEmail: email, audience } = oidcToken;
  requireArgument(
    /^[^@\s]+@[^@\s]+$/.test(email),
    'push_config.oidc_token.service_account_email is no e-mail address',
  );
  return { email, audience: audience === '' ? pushEndpoint : audience };
}

function requireEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  requireArgument(
    url !== undefined && (url.protocol === 'https:' || url.protocol === 'http:'),
    `push_config.push_endpoint is no URL: ${endpoint}`,
  );
}
