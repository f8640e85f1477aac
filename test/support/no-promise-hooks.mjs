// Loaded first into every process and thread of the tests (run-tests.mjs). The SDK of Temporal hooks into each promise of a thread
// that runs workflow code, to be able to tell where a workflow waits (its query `__stack_trace`). No test asks for that; it takes a
// fifth of the time of tests of the engine, and after a replay, which runs workflow code in the main thread, it slows down all others,
// as the hooks are never let go.
import v8 from 'node:v8';

// A new object: Node itself uses the old one.
v8.promiseHooks = { ...v8.promiseHooks, createHook: () => () => undefined };
