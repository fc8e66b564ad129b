import type { Instance, StartInstance } from './instance.ts';

/** Room for requests at an instance that may still be starting. */
export interface Slot {
  readonly instance: Promise<Instance>;
  /** Requests that it works on. */
  inFlight: number;
}

/** The instances of a service, started as requests need them. */
export class InstancePool {
  readonly #start: StartInstance;
  readonly #maxInstances: number;
  readonly #concurrency: number;
  readonly #slots = new Set<Slot>();
  readonly #ready: Instance[] = [];

  constructor(start: StartInstance, maxInstances: number, concurrency: number) {
    this.#start = start;
    this.#maxInstances = maxInstances;
    this.#concurrency = concurrency;
  }

  /** Instances that take requests. */
  get ready(): readonly Instance[] {
    return this.#ready;
  }

  /** The least busy slot with room, that of a new instance where all are full; undefined: no more may start. */
  take(): Slot | undefined {
    const [idlest] = [...this.#slots].sort((a, b) => a.inFlight - b.inFlight);
    if (idlest !== undefined && idlest.inFlight < this.#concurrency) return idlest;
    return this.#slots.size < this.#maxInstances ? this.#add() : undefined;
  }

  /** Gives an instance no more requests. */
  async takeOut(instance: Instance): Promise<void> {
    for (const slot of this.#slots) {
      if ((await slot.instance) === instance) this.#remove(slot, instance);
    }
  }

  /** Stops all instances, those that are starting too. */
  async stop(): Promise<void> {
    const started = await Promise.allSettled(
      [...this.#slots].map(async ({ instance }) => instance),
    );
    await Promise.all(
      started.map(async (one) => (one.status === 'fulfilled' ? one.value.stop() : undefined)),
    );
  }

  #add(): Slot {
    const slot: Slot = { instance: this.#start(), inFlight: 0 };
    this.#slots.add(slot);
    slot.instance.then(
      (instance) => {
        this.#ready.push(instance);
        void instance.gone.then(() => {
          this.#remove(slot, instance);
        });
      },
      () => this.#slots.delete(slot),
    );
    return slot;
  }

  #remove(slot: Slot, instance: Instance): void {
    this.#slots.delete(slot);
    const index = this.#ready.indexOf(instance);
    if (index !== -1) this.#ready.splice(index, 1);
  }
}
