import type { Clock } from './clock.ts';
import { Disturbances } from './disturbances.ts';
import { decorated, type Decorator, type Methods } from './methods.ts';
import { Permissions } from './permissions.ts';
import { Refusal } from './refusal.ts';

/** What every request passes before it is carried out: it is counted, disturbed, and checked. */
export class Gates {
  readonly disturbances: Disturbances;
  readonly permissions = new Permissions();
  readonly #requests = new Map<string, number>();

  constructor(clock: Clock) {
    this.disturbances = new Disturbances(clock);
  }

  /** Requests that have arrived for a method, refused ones included. */
  requests(method: string): number {
    return this.#requests.get(method) ?? 0;
  }

  /** The methods of a service behind the gates. */
  around(methods: Methods): Methods {
    return decorated(methods, [this.#count, this.disturbances.decorate, this.permissions.decorate]);
  }

  /** Lets a stream pass, which no method answers. @throws Refusal */
  admitStream(method: string, request: unknown): void {
    this.#add(method);
    const trouble = this.disturbances.take(method, request);
    if (trouble?.kind === 'refused') throw new Refusal(trouble.status, 'Disturbed');
    this.permissions.require(method, request);
  }

  readonly #count: Decorator = (name, method) => (request, call) => {
    this.#add(name);
    return method(request, call);
  };

  #add(method: string): void {
    this.#requests.set(method, this.requests(method) + 1);
  }
}
