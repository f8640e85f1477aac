import shared from '../../jest.config.mjs';

// How many edits of records are tried by the test of these.
process.env.HOLDPOINT_TEST_EDITS ??= '2000';

/**
 * `npm run test:exhaustive`: every shipped runbook × every step × every moment. `npm test` has every action, the shapes of the engine
 * and every runbook by themselves instead, and a quarter of the edits of records, so that its time does not grow with the product of them.
 */
export default {
  ...shared,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/exhaustive/*.exhaustive.ts', '<rootDir>/test/attacks/mutated-records.test.ts'],
};
