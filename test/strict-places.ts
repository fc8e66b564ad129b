import { AsyncLocalStorage } from 'node:async_hooks';

import type { PlaceKind, PlaceObserver } from '../functions/concurrency.ts';

/** An observer that writes down who waits for a place while it holds one of the same kind. */
export interface StrictPlaces extends PlaceObserver {
  /** What broke the rule, in words; empty where nothing did. */
  readonly violations: readonly string[];
  /** Places that are held within transfers now. */
  readonly held: number;
}

/** Holds the rule that nothing waits for a place while it holds one of the same kind. */
export function strictPlaces(): StrictPlaces {
  const transfers = new AsyncLocalStorage<Map<PlaceKind, number>>();
  const violations: string[] = [];
  let heldAtAll = 0;
  return {
    violations,
    get held() {
      return heldAtAll;
    },
    transfer: async (work) => transfers.run(new Map(), work),
    waits(kind) {
      const own = transfers.getStore();
      const held = own?.get(kind) ?? 0;
      if (held > 0) violations.push(`a transfer waits for a ${kind} and holds ${held}`);
      return {
        taken() {
          heldAtAll += 1;
          own?.set(kind, (own.get(kind) ?? 0) + 1);
        },
        freed() {
          heldAtAll -= 1;
          own?.set(kind, (own.get(kind) ?? 0) - 1);
        },
      };
    },
  };
}
