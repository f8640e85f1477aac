/** Whether as much is to be tried as `npm run test:exhaustive` tries, or a part that finds nearly as much in a fraction of the time. */
export const isExhaustive = process.env.HOLDPOINT_TEST_EXHAUSTIVE === '1';
