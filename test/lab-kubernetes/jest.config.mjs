import shared from '../../jest.config.mjs';

/** `npm run test:lab`: what the sandbox claims about Kubernetes, held against a real control plane; real etcd, PostgreSQL, MariaDB. */
export default {
  ...shared,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/lab-kubernetes/**/*.lab.ts', '<rootDir>/test/lab-etcd/**/*.lab.ts', '<rootDir>/test/lab-aurora/**/*.lab.ts'],
  testTimeout: 120_000,
  // Each has a control plane of its own, as its files count nodes and take up PDBs.
  maxWorkers: 2,
  globalSetup: '<rootDir>/test/lab-kubernetes/global-setup.mjs',
  globalTeardown: '<rootDir>/test/lab-kubernetes/global-teardown.mjs',
};
