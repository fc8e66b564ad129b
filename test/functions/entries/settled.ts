// An entry whose work ends as it should, and whose library warns of something with `warning`.
import { watched } from '../../../functions/start.ts';
import { createLogger } from '../../../functions/telemetry/logger.ts';
import { watchdog } from '../../../functions/watchdog.ts';

process.exitCode = await watched('run the test', createLogger(), async () => {
  const end = watchdog.begin('copy blob sha256:0 of ghcr.io/x/y');
  if (process.argv[2] === 'warning') process.emitWarning('no project', 'MetadataLookupWarning');
  await new Promise((resolve) => setImmediate(resolve));
  end();
  return 3;
});
