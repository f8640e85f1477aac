import { bundledPackages } from './test/support/bundled-packages.mjs';

/** Tests run as ESM through swc; the Temporal dev server they share is started once by the global setup. */
export default {
  testEnvironment: 'node',
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
  // One more than the cores of the smallest machine: much of the time goes by while a test waits for a world to move.
  maxWorkers: 3,
  moduleNameMapper: await bundledPackages(),
  setupFiles: ['<rootDir>/test/support/stack-traces.mjs'],
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  reporters: ['default', '<rootDir>/test/support/file-times-reporter.mjs', '<rootDir>/test/support/closing-line-reporter.mjs'],
};
