// Preloaded: no copy of a blob ever settles, whatever its signal says, and nothing keeps the process alive.
import { registerHooks } from 'node:module';

const FILE = '/functions/mirror/copy-manifest.ts';
const FROM = 'await pool.copy(wish, signal)';
const TO = "await (process.stderr.write('held\\n'), new Promise<never>(() => undefined))";

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(FILE)) return loaded;
    const source = Buffer.from(loaded.source as Uint8Array).toString('utf8');
    if (!source.includes(FROM)) throw new Error(`${FILE} has not: ${FROM}`);
    return { ...loaded, source: source.replace(FROM, TO) };
  },
});
