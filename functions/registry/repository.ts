import type { AccessScope } from './authorizer.ts';
import type { RegistryClient } from './client.ts';
import type { Answer } from './failure.ts';
import type { HostCapabilities } from './host-capabilities.ts';

/** A repository as the endpoints see it. */
export interface Target {
  readonly client: RegistryClient;
  /** Repository path. */
  readonly path: string;
  readonly scope: AccessScope;
  /** What its host has taught. */
  readonly memory: HostCapabilities;
  /** Is told every answer about a manifest, refusals too. Default: nobody. */
  readonly onManifestAnswer?: ((answer: Answer) => void) | undefined;
}
