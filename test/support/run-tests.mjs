// Starts jest with the flag that lets it load ES modules; arguments are handed on (`npm test -- drain`).
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
const first = new URL('../../worker/no-promise-hooks.mjs', import.meta.url).href;
const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', '--import', first];
// Nobody's profile of another server.
const profiles = fileURLToPath(new URL('temporal.toml', import.meta.url));
const result = spawnSync(process.execPath, [...flags, jest, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true', TEMPORAL_CONFIG_FILE: profiles },
});
process.exit(result.status ?? 1);
