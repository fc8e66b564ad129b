import { requireArgument } from './refusal.ts';
import type { WireFieldMask } from './wire.ts';

/**
 * `current` with the fields that the mask names taken from `wanted` (one level deep:
 * `retry_policy.minimum_backoff` is a field too).
 * @throws Refusal `INVALID_ARGUMENT` for an empty mask and for a field not in `mutable`
 */
export function applyMask<T extends object>(
  current: T,
  wanted: T,
  mask: WireFieldMask | null,
  mutable: readonly (keyof T & string)[],
): T {
  const paths = mask?.paths ?? [];
  requireArgument(paths.length > 0, 'The update_mask is empty');
  const merged = { ...current } as Record<string, unknown>;
  const given = wanted as Readonly<Record<string, unknown>>;
  for (const path of paths) {
    const [field = '', inner, ...deeper] = path.split('.').map(camelCase);
    requireArgument(
      (mutable as readonly string[]).includes(field) && deeper.length === 0,
      `The update_mask names ${path}, which cannot be updated`,
    );
    merged[field] =
      inner === undefined
        ? given[field]
        : { ...asObject(merged[field]), [inner]: asObject(given[field])[inner] ?? null };
  }
  return merged as T;
}

function camelCase(snake: string): string {
  return snake.replace(/_([a-z])/g, (_whole, letter: string) => letter.toUpperCase());
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
