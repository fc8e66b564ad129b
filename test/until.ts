/** Waits until something holds, looking again and again, for 60 s at most: a busy machine is slow. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`it never came about: ${String(holds)}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
