import shared from '../../jest.config.mjs';

/** `npm run test:lab`: what the sandbox claims about Kubernetes, held against a real control plane that is started for it. */
export default {
  ...shared,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/lab-kubernetes/**/*.{test,lab}.ts'],
  testTimeout: 120_000,
  // One control plane serves all files: side by side they would only wait for each other.
  maxWorkers: 1,
  globalSetup: '<rootDir>/test/lab-kubernetes/global-setup.mjs',
  globalTeardown: '<rootDir>/test/lab-kubernetes/global-teardown.mjs',
};
