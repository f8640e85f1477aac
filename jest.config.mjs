/** Tests run as ESM through swc; the Temporal dev server they share is started once by the global setup. */
export default {
  // Packages are loaded once for all files of a process, and everything is in the realm that Node starts with, as in a worker.
  testEnvironment: '<rootDir>/test/support/one-realm-environment.mjs',
  runtime: '<rootDir>/test/support/one-realm-runtime.mjs',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2023', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  // A build holds a package of the same name.
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testTimeout: 180_000,
  // Twice the cores of the smallest machine: half of the time goes by while a test waits for a world to move.
  maxWorkers: 4,
  testSequencer: '<rootDir>/test/support/longest-first.mjs',
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  reporters: ['default', '<rootDir>/test/support/file-times-reporter.mjs', '<rootDir>/test/support/closing-line-reporter.mjs'],
};
