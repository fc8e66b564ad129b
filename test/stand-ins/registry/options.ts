import { flag, integer, list, text, choice } from '../../../functions/options/option.ts';
import type { RegistrySwitches } from './switches.ts';
import { DEFAULT_SWITCHES } from './switches.ts';

/** The options of a registry that runs as its own process. */
export const registryOptions = {
  port: integer({
    flag: '--port',
    default: 0,
    min: 0,
    max: 65_535,
    sentence: 'Port of 127.0.0.1 to listen on; 0 takes a free one.',
  }),
  controlPort: integer({
    flag: '--control-port',
    default: 0,
    min: 0,
    max: 65_535,
    sentence: 'Port of the control address (figures, switches, faults); 0 takes a free one.',
  }),
  personality: choice({
    flag: '--personality',
    choices: ['distribution', 'artifact-registry'],
    default: 'distribution',
    sentence: 'Which product it stands in for.',
  }),
  users: list({
    flag: '--user',
    placeholder: 'NAME:PASSWORD',
    sentence: 'Asks for bearer tokens, which this user gets with pull and push; may be repeated.',
  }),
  bearer: flag({
    flag: '--bearer',
    default: false,
    sentence: 'Asks for bearer tokens, also where no user is named: anybody may pull.',
  }),
  tokenSecret: text({
    flag: '--token-secret',
    env: 'LOCAL_TOKEN_SECRET',
    placeholder: 'SECRET',
    sentence:
      'Artifact Registry: asks for access tokens, which a metadata server with this secret mints.',
  }),
  discardBlobs: flag({
    flag: '--discard-blobs',
    default: false,
    sentence: 'Keeps only digest and size of uploaded blobs.',
  }),
  tls: flag({
    flag: '--tls',
    default: false,
    sentence: 'Speaks https with a self-signed certificate, which is printed.',
  }),
  seed: flag({
    flag: '--seed',
    default: false,
    sentence: 'Begins with a few small images.',
  }),
  switches: list({
    flag: '--switch',
    placeholder: 'NAME=VALUE',
    sentence: 'Changes one of the switches, such as rttMs=20 or referrers=absent; may be repeated.',
    item: readSwitch,
  }),
} as const;

function readSwitch(word: string): Partial<RegistrySwitches> {
  const [name = '', ...rest] = word.split('=');
  const value = rest.join('=');
  const known = DEFAULT_SWITCHES.distribution as unknown as Readonly<Record<string, unknown>>;
  if (!Object.hasOwn(known, name)) throw new Error(`knows no switch '${name}'`);
  switch (typeof known[name]) {
    case 'boolean':
      return { [name]: value === 'true' };
    case 'number':
      return { [name]: Number(value) };
    default:
      return { [name]: value };
  }
}
