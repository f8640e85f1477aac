import shared from '../../jest.config.mjs';

/**
 * `npm run test:long`: shipped runbooks and every shape of the engine while workers are killed, whole runs with the time limits of
 * production, the limits of a Temporal server, secrets in all that is kept and told, the programs of bench/, and the openings of windows
 * beside a judge. It grows with the runbooks, and a change seldom breaks it, so `npm test` does without it.
 */
// One at a time less than of the quick ones: each has workers of its own, and too many of them keep Temporal waiting.
export default { ...shared, rootDir: '../..', testMatch: ['<rootDir>/test/**/*.long.ts'], maxWorkers: 3 };
