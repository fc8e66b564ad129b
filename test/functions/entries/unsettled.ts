// An entry whose work never settles and holds nothing that keeps the process alive.
import { watched } from '../../../functions/start.ts';
import { createLogger } from '../../../functions/telemetry/logger.ts';
import { watchdog } from '../../../functions/watchdog.ts';

const [encoding = 'json', count = '1'] = process.argv.slice(2);
const logger = createLogger({
  encoding: encoding === 'console' ? 'console' : 'json',
  write: (line) => process.stderr.write(line),
});

process.exitCode = await watched('run the test', logger, async () => {
  for (let n = 0; n < Number(count); n += 1) watchdog.begin(`copy blob sha256:${n} of ghcr.io/x/y`);
  return new Promise<number>(() => undefined);
});
