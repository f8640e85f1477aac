import { createRequire } from 'node:module';
import { SyntheticModule } from 'node:vm';
import JestRuntime from 'jest-runtime';

const require = createRequire(import.meta.url);
/** The modules of packages, by specifier: one for all test files of a process. */
const packages = new Map();

/**
 * Loads the modules of the project anew for each test file, as jest does, but packages once for all files of a process, by Node itself:
 * the clients of Temporal, AWS and Kubernetes are two thousand files. All is in one realm (test/support/one-realm-environment.mjs).
 */
export default class OneRealmRuntime extends JestRuntime {
  constructor(...parts) {
    super(...parts);
    const { esmLoader, coreModule, _resolution: resolution } = this;
    // Undefined stands for the realm that this code is in.
    esmLoader.getContext = () => undefined;
    coreModule.require = require;
    // Node 20 knows only the way that awaits; one way is enough for all.
    resolution.canResolveSync = () => false;
    const resolveModule = esmLoader.resolveModule.bind(esmLoader);
    esmLoader.resolveModule = (specifier, from, context) =>
      isPackage(specifier) ? packageModule(specifier) : resolveModule(specifier, from, context);
  }

  /** A part of jest: only the one that keeps what tests a file has is needed anew. */
  requireInternalModule(path) {
    delete require.cache[path];
    return require(path);
  }
}

/** Has jest, which requires this file, take the default export for the class. */
export const __esModule = true;

function isPackage(specifier) {
  return /^[@a-z]/i.test(specifier) && !/^(@jest\/globals$|node:|data:)/.test(specifier);
}

function packageModule(specifier) {
  if (!packages.has(specifier)) packages.set(specifier, loadPackage(specifier));
  return packages.get(specifier);
}

async function loadPackage(specifier) {
  const exported = Object.entries(await import(specifier));
  const names = exported.map(([name]) => name);
  const module = new SyntheticModule(names, () => exported.forEach(([name, value]) => module.setExport(name, value)));
  await module.link(() => undefined);
  await module.evaluate();
  return module;
}
