import shared from '../../jest.config.mjs';

// See test/support/exhaustive.ts.
process.env.HOLDPOINT_TEST_EXHAUSTIVE = '1';

/**
 * `npm run test:exhaustive`: every shipped runbook × every step × every moment. `npm test` has every action, the shapes of the engine
 * and every runbook by themselves instead, so that its time does not grow with the product of them, and a part of what some files try.
 */
export default {
  ...shared,
  rootDir: '../..',
  testMatch: [
    '<rootDir>/test/exhaustive/*.exhaustive.ts',
    '<rootDir>/test/attacks/{floods.long,fuzzer.long,limits.long,mutated-records.test}.ts',
    '<rootDir>/test/client/evidence.test.ts',
    '<rootDir>/test/every-action/every-action.test.ts',
    '<rootDir>/test/runbooks/mutated-documents.test.ts',
  ],
};
