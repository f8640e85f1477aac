import shared from '../../jest.config.mjs';

/**
 * `npm run test:exhaustive`: every shipped runbook × every step × every moment. `npm test` has every action, the shapes of the engine
 * and every runbook by themselves instead, so that its time does not grow with the product of them.
 */
export default {
  ...shared,
  rootDir: '../..',
  testMatch: ['<rootDir>/test/exhaustive/*.exhaustive.ts'],
};
