/** Ends what the global setup started; both run in jest's own process. */
export default async function globalTeardown() {
  await globalThis.closeTestDesk?.();
}
