// Loaded first into every process and thread of a worker, and of the tests. The SDK of Temporal hooks into each promise of a thread that
// runs workflow code, to be able to tell where a workflow waits (its query `__stack_trace`), and keeps a stack for each that waits. What a
// run waits for is in its state; the hooks take more than a third of the time of workflows and much of the memory of a parked run. In
// tests, where a replay runs workflow code in the main thread, they would slow down all that follows, as they are never let go.
import v8 from 'node:v8';

// A new object: Node itself uses the old one.
v8.promiseHooks = { ...v8.promiseHooks, createHook: () => () => undefined };
