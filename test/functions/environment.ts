import type { TestContext } from 'node:test';

/** Sets variables of the environment for the time of a test. */
export function withEnvironment(t: TestContext, wanted: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(wanted)) {
    const before = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (before === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = before;
    });
  }
}
