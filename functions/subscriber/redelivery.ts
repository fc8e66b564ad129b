/**
 * Thrown to the framework so that it answers 500 and Pub/Sub delivers again. The framework prints
 * the stack of what it catches; the log line is written before, so all that it finds is another
 * structured one that says little.
 */
export class Redelivery extends Error {
  override readonly name = 'Redelivery';

  /** @param reason why, as one word of the decision */
  constructor(reason: string) {
    super(`asked for redelivery: ${reason}`);
    this.stack = JSON.stringify({ severity: 'DEBUG', message: this.message });
  }
}
