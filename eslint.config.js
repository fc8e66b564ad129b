import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Import directions: a folder, and what its files may not import (one-way layers). */
const layers = [
  {
    files: [
      'functions/{errors,concurrency,recent-map}.ts',
      'functions/{options,contract,oci,telemetry}/**',
    ],
    forbidden:
      '/(auth|registry|mirror|subscriber|bridge|infra)/|/(compose|config|index|serve|job)\\.ts$',
  },
  {
    files: ['functions/auth/**'],
    forbidden: '/(registry|mirror|subscriber|bridge|infra)/|/(compose|index|serve|job)\\.ts$',
  },
  {
    files: ['functions/registry/**'],
    forbidden: '/(subscriber|bridge|infra)/|/(compose|index|serve|job)\\.ts$',
  },
  {
    files: ['functions/mirror/**'],
    forbidden: '/(auth|registry|subscriber|bridge|infra)/|/(compose|index|serve|job)\\.ts$',
  },
  { files: ['functions/**'], forbidden: '/(bridge|infra|test)/' },
  {
    files: ['bridge/**'],
    forbidden:
      '/functions/(auth|registry|mirror|subscriber|oci)/|/functions/(compose|config|index|serve|job)\\.ts$|/(infra|test)/|otlp',
  },
  {
    files: ['infra/**'],
    forbidden: '/functions/(?!contract/|options/|errors\\.ts$)|/bridge/|/test/(?!stand-ins/)',
  },
  {
    files: ['test/stand-ins/**'],
    forbidden: '/functions/(?!contract/|options/|errors\\.ts$)|/(bridge|infra|conformance)/',
  },
];

export default tseslint.config(
  { ignores: ['build/', 'dist/', 'coverage/', 'node_modules/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      'func-style': ['error', 'declaration', { allowArrowFunctions: true }],
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
        { selector: 'TSEnumDeclaration', message: 'A union of literals instead of an enum.' },
      ],
      'max-lines': ['warn', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['warn', { max: 80, skipBlankLines: true, skipComments: true }],
      complexity: ['warn', 16],
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
  },
  ...layers.map(({ files, forbidden }) => ({
    files: files.map((pattern) => (pattern.endsWith('.ts') ? pattern : `${pattern}/*.ts`)),
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        { patterns: [{ regex: forbidden, message: 'Imports run one way.' }] },
      ],
    },
  })),
  {
    // A wall clock may be set back: whoever counts time asks a clock that only goes forward.
    files: ['functions/**/*.ts'],
    ignores: ['functions/concurrency.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Ask SYSTEM_TIMING of concurrency.ts.' },
      ],
    },
  },
  {
    // Whatever waits asks the injected timing, so that the simulation owns all time above the transport.
    files: ['functions/{registry,mirror,subscriber}/**/*.ts'],
    ignores: ['functions/registry/{transport,idle-timer,idle-connections}.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...['setTimeout', 'setInterval', 'performance'].map((name) => ({
          name,
          message: 'Ask the injected Timing (functions/concurrency.ts).',
        })),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Ask the injected Timing.' },
        { object: 'AbortSignal', property: 'timeout', message: 'Use timeLimit of concurrency.ts.' },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    ignores: ['test/stand-ins/**'],
    rules: {
      // node:test calls return promises that the runner itself awaits.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['describe', 'it', 'test', 'suite'] },
          ],
        },
      ],
      '@typescript-eslint/no-non-null-assertion': 'off',
      'max-lines': 'off',
      'max-lines-per-function': 'off',
    },
  },
  {
    files: ['**/*.mjs', 'eslint.config.js'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly' } },
    rules: { 'no-restricted-syntax': 'off' },
  },
);
