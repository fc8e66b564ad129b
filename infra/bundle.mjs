// Bundles each entry into one file of dist/, so that a cold start reads one file and an image needs no
// npm: index.js (deployment from source), serve.js, job.js, bridge.js. Google's client libraries, which are
// loaded when they are first needed, stand in files of their own beside them, once for all entries: a cold
// start of the service would else parse megabytes for nothing.
//   node infra/bundle.mjs [--report] [--out=FOLDER] [ENTRY…]
// No ENTRY: all of them. FOLDER is dist/ unless told, and may hold nothing but bundles, which are replaced.
// --report prints what is in each bundle.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
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
      return name === undefined ? undefined : { path: `./${name}.mjs`, external: true };
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

/** Leaves these parts out: a sixth of what is read at a cold start, for nothing. */
const gotParts = {
  name: 'got-parts',
  setup(plugin) {
    const filter = /[\\/]node_modules[\\/](got|cacheable-request)[\\/].*\.js$/;
    plugin.onLoad({ filter }, ({ path }) => {
      const part = unusedByGot.get(inPackages(path));
      if (part === undefined) return undefined;
      const message = `got is bundled without ${part}`;
      const contents = `export default class { constructor() { throw new Error('${message}'); } }
export class CacheError extends Error {}`;
      return { contents, loader: 'js' };
    });
  },
};

/** The path of a package's file from `node_modules`. */
function inPackages(path) {
  return path.split(sep).join('/').split('node_modules/').at(-1);
}

/**
 * What libraries do at every cold start though only rare cases need it, by file: the expression, and one that
 * comes to the same without.
 */
const edits = new Map([
  // Formatters of lists for the texts of errors: 8 ms, tables of languages.
  [
    '@sindresorhus/is/distribution/index.js',
    [
      'new Intl.ListFormat(',
      '((...given) => ({ format: (list) => new Intl.ListFormat(...given).format(list) }))(',
    ],
  ],
  // Node's web streams, which it loads when their name is read: 2 ms.
  [
    'got/dist/source/core/index.js',
    ['body instanceof ReadableStream', "typeof body?.getReader === 'function' && $&"],
  ],
]);

/** Carries the {@link edits} out; a library that is no longer like that is an error. */
const lateWork = {
  name: 'late-work',
  setup(plugin) {
    plugin.onLoad({ filter: /[\\/]node_modules[\\/].*\.js$/ }, ({ path }) => {
      const file = inPackages(path);
      const edit = edits.get(file);
      if (edit === undefined) return undefined;
      const [from, to] = edit;
      const source = readFileSync(path, 'utf8');
      const contents = source.replaceAll(from, to);
      if (contents === source) throw new Error(`${file} has no "${from}" any more`);
      return { contents, loader: 'js' };
    });
  },
};

/** How everything is bundled. */
const settings = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node24',
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
    format: 'esm',
    banner: { js: banner },
    outExtension: { '.js': '.mjs' },
    splitting: true,
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
      // In one CommonJS file: a cold start takes a twentieth less than with an ES module and its parts.
      format: 'cjs',
      outdir: folder,
      external,
      plugins: [builtins, shared, tables, kubernetesClient, gotParts, lateWork],
      metafile: true,
    });
    sizes[name] = statSync(join(folder, `${name}.js`)).size;
    reports[name] = await analyzeMetafile(result.metafile);
  }
  // Wherever the folder is put.
  writeFileSync(join(folder, 'package.json'), '{"type":"commonjs"}\n');
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
const bundles =
  /^((index|serve|job|bridge)(-[A-Z0-9]{8})?\.js|(auth|pubsub|library-[A-Z0-9]{8})\.m?js|package\.json)$/;
const others = existsSync(folder)
  ? readdirSync(folder, { withFileTypes: true })
      .filter((entry) => !entry.isFile() || !bundles.test(entry.name))
      .map(({ name }) => name)
  : [];
if (others.length > 0) {
  console.error(`${folder} is replaced as a whole, and holds more than bundles: ${others[0]} …`);
  process.exit(2);
}
const { sizes, reports } = await bundle(folder, names.length > 0 ? names : Object.keys(entries));
for (const [name, size] of Object.entries(sizes)) {
  console.log(`${name}.js`.padEnd(10), `${(size / 1024).toFixed(0).padStart(6)} KiB`);
  if (given.includes('--report')) console.log(reports[name]);
}
