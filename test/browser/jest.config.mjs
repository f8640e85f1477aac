import shared from '../../jest.config.mjs';

/**
 * `npm run test:browser`: the console in Chromium, with its virtual authenticator, over the real API, identity provider and Temporal
 * server. `npm run screenshots` keeps a picture of each screen.
 */
export default { ...shared, rootDir: '../..', testMatch: ['<rootDir>/test/browser/**/*.browser.ts'], maxWorkers: 1 };
