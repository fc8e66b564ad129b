import type { Handler, RegistryRequest } from '../exchange.ts';

/** Decides about credentials before an endpoint is reached. */
export interface Guard {
  /**
   * Lets a request pass.
   * @throws RegistryRefusal `UNAUTHORIZED` with a challenge, `DENIED`
   */
  check(request: RegistryRequest): void;
  /** Answers the token endpoint, where there is one. */
  readonly tokens: Handler | undefined;
}
