// Bundles each entry into one file of dist/, so that a cold start reads one file and an image needs no
// npm: index.js (deployment from source), serve.js, job.js, bridge.js. What is loaded when it is first
// needed (Pub/Sub's client above all) stands in files of its own beside it: a cold start of the service
// would else parse megabytes for nothing. Google's client libraries stand there once for all entries.
//   node infra/bundle.mjs [--report] [--out=FOLDER] [ENTRY…]
// No ENTRY: all of them. FOLDER is dist/ unless told. --report prints what is in each bundle.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBuiltin } from 'node:module';

import { analyzeMetafile, build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Entry → source; what stands beside the bundle at run time. */
const entries = {
  // The framework that loads this file must be the one it registers with.
  index: { source: 'functions/index.ts', external: ['@google-cloud/functions-framework'] },
  serve: { source: 'functions/serve.ts', external: [] },
  job: { source: 'functions/job.ts', external: [] },
  bridge: { source: 'bridge/main.ts', external: [] },
};

/**
 * What entries share, by the name of its file: modules that only hand on packages, loaded when they are first
 * needed. Nothing of ours is in them, so that no class of ours is there twice.
 */
const libraries = {
  auth: 'functions/auth/library.ts',
  pubsub: 'functions/pubsub/library.ts',
};

/** CommonJS packages inside of an ES module ask for what only CommonJS has. */
const banner = [
  "import { createRequire as __createRequire } from 'node:module';",
  "import { fileURLToPath as __fileURLToPath } from 'node:url';",
  "import { dirname as __pathDirname } from 'node:path';",
  'const require = __createRequire(import.meta.url);',
  'const __filename = __fileURLToPath(import.meta.url);',
  'const __dirname = __pathDirname(__filename);',
].join('\n');

/**
 * Modules of Node that a cold start seldom needs, or of which reading a name may load another (`fs.promises`,
 * `util.diff`): nothing of them is read before it is used.
 */
const LAZY_BUILTINS = ['fs', 'fs/promises', 'http2', 'util', 'zlib'];

/** An expression for a module of Node. */
function loadOf(path) {
  return `process.getBuiltinModule(${JSON.stringify(`node:${path}`)})`;
}

/** Also those that a loop does not show (`zlib.Z_SYNC_FLUSH`). */
function namesOf(path) {
  return Object.getOwnPropertyNames(process.getBuiltinModule(`node:${path}`));
}

/**
 * A module of Node as an ES module, of whose names those are read that something imports: esbuild would
 * copy all of a CommonJS module's, once for each file that imports it.
 */
function byName(path) {
  return [
    `const all = ${loadOf(path)};`,
    'export default all;',
    'const named = (name) => all[name];',
    ...namesOf(path)
      .filter((name) => name !== 'default')
      .flatMap((name, index) => [
        `const export${index} = /* @__PURE__ */ named(${JSON.stringify(name)});`,
        `export { export${index} as ${JSON.stringify(name)} };`,
      ]),
  ].join('\n');
}

/** An object with the names of a module of Node, which is loaded when one of them is read. */
function lazily(path) {
  const load = loadOf(path);
  return `{ ${namesOf(path)
    .map((name) => `get ${name}() { return ${load}.${name}; }`)
    .join(', ')} }`;
}

/**
 * Takes Node's own modules as CommonJS does. Importing `node:http` into an ES module reads all of
 * its exports, also those that are made when first read, and so loads undici: a quarter of the
 * service's cold start, for nothing.
 */
const builtins = {
  name: 'builtins',
  setup(plugin) {
    plugin.onResolve({ filter: /^[a-z]/ }, ({ kind, path }) => {
      if (!isBuiltin(path)) return undefined;
      const name = path.replace(/^node:/, '');
      // What is taken apart when it is first needed (`const { Agent } = await import('http')`) is Node's own
      // module: of one that is bundled as CommonJS there would be a default export alone.
      if (kind === 'dynamic-import') return { path: `node:${name}`, external: true };
      const isImport = kind === 'import-statement' && !LAZY_BUILTINS.includes(name);
      return { path: name, namespace: isImport ? 'builtin-names' : 'builtin' };
    });
    plugin.onLoad({ filter: /./, namespace: 'builtin' }, ({ path }) => {
      const exported = LAZY_BUILTINS.includes(path) ? lazily(path) : loadOf(path);
      return { contents: `module.exports = ${exported};`, loader: 'js' };
    });
    plugin.onLoad({ filter: /./, namespace: 'builtin-names' }, ({ path }) => ({
      contents: byName(path),
      loader: 'js',
    }));
  },
};

/** Leaves the shared libraries to the files that all entries have in common. */
const shared = {
  name: 'shared',
  setup(plugin) {
    plugin.onResolve({ filter: /\/library\.ts$/ }, ({ kind, path, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined;
      const source = resolve(resolveDir, path);
      const name = Object.keys(libraries).find((one) => join(root, libraries[one]) === source);
      return name === undefined ? undefined : { path: `./${name}.js`, external: true };
    });
  },
};

/** What the service's answers and its requests' bodies are of. */
const MEDIA_TYPES =
  /^(application\/(json|octet-stream|x-www-form-urlencoded)|text\/(plain|html)|multipart\/form-data)$/;

/**
 * Leaves out of the framework's tables what is compiled at every cold start and never looked up: the
 * charsets that are not Unicode (JSON is UTF-8, RFC 8259 section 8.1; a body in another charset is
 * answered 415) and media types that no request has.
 */
const tables = {
  name: 'tables',
  setup(plugin) {
    plugin.onLoad(
      { filter: /[\\/]iconv-lite[\\/]encodings[\\/](dbcs-data|sbcs-data-generated)\.js$/ },
      () => ({ contents: '' }),
    );
    plugin.onLoad({ filter: /[\\/]mime-db[\\/]db\.json$/ }, ({ path }) => {
      const all = Object.entries(JSON.parse(readFileSync(path, 'utf8')));
      const kept = Object.fromEntries(all.filter(([type]) => MEDIA_TYPES.test(type)));
      return { contents: JSON.stringify(kept), loader: 'json' };
    });
  },
};

/** What the Kubernetes client would send requests of its own with. */
const noFetch = `exports.fetch = exports.Agent = exports.ProxyAgent = function undici() {
  throw new Error('undici is not part of this bundle');
};`;

/**
 * Of the Kubernetes client only the reading of kubeconfigs is used; the bridge's requests go by Node's
 * https. Left out are undici and what the package does not declare to be free of side effects: 10 MiB of
 * memory and a third of the time until the kubeconfig is read.
 */
const kubernetesClient = {
  name: 'kubernetes-client',
  setup(plugin) {
    const inside = /[\\/]node_modules[\\/]@kubernetes[\\/]client-node[\\/]/;
    plugin.onResolve(
      { filter: /^(@kubernetes\/client-node|\.\/gen\/index\.js|undici)$/ },
      async (wanted) => {
        const { path, importer, pluginData, ...rest } = wanted;
        if (pluginData === kubernetesClient) return undefined;
        if (!inside.test(importer) && !path.startsWith('@kubernetes/')) return undefined;
        if (path === 'undici') return { path, namespace: 'no-fetch' };
        const found = await plugin.resolve(path, {
          importer,
          ...rest,
          pluginData: kubernetesClient,
        });
        return { ...found, sideEffects: false };
      },
    );
    plugin.onLoad({ filter: /./, namespace: 'no-fetch' }, () => ({ contents: noFetch }));
  },
};

/** What got has for options that no request here sets, by the file that it is in. */
const unusedByGot = new Map([
  ['got/dist/source/core/utils/decompress-response.js', 'decompression'],
  ['got/dist/source/core/utils/dns-cache.js', 'its DNS cache'],
  ['got/dist/source/core/utils/http2-client.js', 'HTTP/2'],
  ['cacheable-request/dist/index.js', 'its cache of answers'],
]);

/** Makes a formatter of lists when it first formats one. */
const lazyListFormat = `
function lazyListFormat(...given) {
  return { format: (list) => new Intl.ListFormat(...given).format(list) };
}`;

/**
 * Leaves these parts out: a sixth of what is read at a cold start, for nothing. What got checks types with makes
 * two formatters of lists for its errors at once, which reads tables of languages: 8 ms of a start.
 */
const gotParts = {
  name: 'got-parts',
  setup(plugin) {
    plugin.onLoad({ filter: /[\\/]@sindresorhus[\\/]is[\\/].*\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const contents = source.replaceAll('new Intl.ListFormat(', 'lazyListFormat(');
      return contents === source ? undefined : { contents: contents + lazyListFormat };
    });
    const filter = /[\\/]node_modules[\\/](got|cacheable-request)[\\/].*\.js$/;
    plugin.onLoad({ filter }, ({ path }) => {
      const [file] = path.split(sep).join('/').split('node_modules/').slice(-1);
      const part = unusedByGot.get(file);
      if (part === undefined) return undefined;
      const message = `got is bundled without ${part}`;
      const contents = `export default class { constructor() { throw new Error('${message}'); } }
export class CacheError extends Error {}`;
      return { contents, loader: 'js' };
    });
  },
};

/** How everything is bundled. */
const settings = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  banner: { js: banner },
  // Identifiers are not minified: stacks in Error Reporting are read by people.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  sourcemap: false,
  logLevel: 'warning',
};

/**
 * Writes the bundles.
 * @param {string} folder replaced as a whole
 * @param {string[]} names of the entries
 */
async function bundle(folder, names) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const sizes = {};
  const reports = {};
  await build({
    ...settings,
    entryPoints: libraries,
    outdir: folder,
    chunkNames: 'library-[hash]',
    // protobuf.js compares names of classes, of which there may be two. Elsewhere a closure that is made in each
    // request would be given its name each time: a twentieth of the service's CPU.
    keepNames: true,
    plugins: [builtins, tables],
  });
  for (const name of names) {
    const { source, external } = entries[name];
    const result = await build({
      ...settings,
      entryPoints: { [name]: source },
      outdir: folder,
      chunkNames: `${name}-[hash]`,
      external,
      plugins: [builtins, shared, tables, kubernetesClient, gotParts],
      metafile: true,
    });
    sizes[name] = statSync(join(folder, `${name}.js`)).size;
    reports[name] = await analyzeMetafile(result.metafile);
  }
  // The bundles are ES modules wherever the folder is put.
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n');
  return { sizes, reports };
}

const given = process.argv.slice(2);
const names = given.filter((argument) => !argument.startsWith('--'));
const out = given.find((argument) => argument.startsWith('--out='))?.slice('--out='.length);
const unknown = names.find((name) => !(name in entries));
if (unknown !== undefined) {
  console.error(`unknown entry ${unknown}: one of ${Object.keys(entries).join(', ')}`);
  process.exit(2);
}
const folder = resolve(root, out ?? 'dist');
const { sizes, reports } = await bundle(folder, names.length > 0 ? names : Object.keys(entries));
for (const [name, size] of Object.entries(sizes)) {
  console.log(`${name}.js`.padEnd(10), `${(size / 1024).toFixed(0).padStart(6)} KiB`);
  if (given.includes('--report')) console.log(reports[name]);
}
