import { ModernFakeTimers } from '@jest/fake-timers';
import { ModuleMocker } from 'jest-mock';

/**
 * Where test files run: in the realm of their process, not in one of their own, so that packages can be shared by all files of a process
 * (test/support/one-realm-runtime.mjs) and `instanceof` holds between them. What a file sets in the process is put back behind it.
 */
export default class OneRealmEnvironment {
  global = globalThis;
  moduleMocker = new ModuleMocker(globalThis);
  fakeTimers = null;
  #before = {
    env: { ...process.env },
    globals: Object.getOwnPropertyDescriptors(globalThis),
    process: Object.getOwnPropertyDescriptors(process),
  };

  constructor({ projectConfig }) {
    this.fakeTimersModern = new ModernFakeTimers({ config: projectConfig, global: globalThis });
  }

  exportConditions() {
    return ['node', 'node-addons'];
  }

  async setup() {
    // Jest has errors remember 100 frames, which takes libraries that make errors by the thousand (YAML, expect) a third of their time.
    Error.stackTraceLimit = 10;
  }

  async teardown() {
    this.fakeTimersModern.dispose();
    restore(globalThis, this.#before.globals);
    restore(process, this.#before.process);
    for (const name of Object.keys(process.env)) if (!Object.hasOwn(this.#before.env, name)) delete process.env[name];
    Object.assign(process.env, this.#before.env);
  }

  /** Jest asks whether there is one; the runtime needs none. */
  getVmContext() {
    return globalThis;
  }
}

/** What cannot be taken away again stays. */
function restore(object, before) {
  for (const key of Reflect.ownKeys(object)) if (!Reflect.has(before, key)) Reflect.deleteProperty(object, key);
  for (const key of Reflect.ownKeys(before)) {
    const [was, is] = [before[key], Object.getOwnPropertyDescriptor(object, key)];
    if (is === undefined || was.value !== is.value || was.get !== is.get) Reflect.defineProperty(object, key, was);
  }
}
