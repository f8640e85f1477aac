import { expect, test } from '@jest/globals';
import { SettingsError, workerSettings } from '../../worker/settings.ts';

test('a worker is not versioned unless it is told which build it is', () => {
  expect(workerSettings({}).version).toBeUndefined();
});

test('the build id alone versions a worker; the deployment can have a name of its own', () => {
  expect(workerSettings({ HOLDPOINT_BUILD_ID: '1.5.0+g1b21f0d' }).version).toEqual({ deployment: 'holdpoint', buildId: '1.5.0+g1b21f0d' });
  expect(workerSettings({ HOLDPOINT_BUILD_ID: 'sha-1b21f0d', HOLDPOINT_DEPLOYMENT: 'platform/holdpoint' }).version).toEqual({
    deployment: 'platform/holdpoint',
    buildId: 'sha-1b21f0d',
  });
});

test('the worker on the machine of a member has a task queue of its own', () => {
  const { member, taskQueue } = workerSettings({ HOLDPOINT_MEMBER: 'prod/m1', HOLDPOINT_TASK_QUEUE: 'maintenance' });
  expect({ member, taskQueue }).toEqual({ member: { cluster: 'prod', name: 'm1' }, taskQueue: 'maintenance.etcd/prod/m1' });
});

test.each([
  [{ HOLDPOINT_MEMBER: 'm1' }, 'HOLDPOINT_MEMBER is "m1": must be a cluster of etcd and its member, such as prod/m1'],
  [{ HOLDPOINT_DEPLOYMENT: 'holdpoint' }, 'HOLDPOINT_BUILD_ID is not set'],
  [{ HOLDPOINT_BUILD_ID: '' }, 'HOLDPOINT_BUILD_ID is "": must be made of letters'],
  [{ HOLDPOINT_BUILD_ID: 'sha256:1b21f0d' }, 'HOLDPOINT_BUILD_ID is "sha256:1b21f0d": must be made of letters'],
  [{ HOLDPOINT_BUILD_ID: 'x'.repeat(129) }, 'expected string to have <=128 characters'],
  [{ HOLDPOINT_BUILD_ID: '1', HOLDPOINT_DEPLOYMENT: 'holdpoint.eu' }, 'HOLDPOINT_DEPLOYMENT is "holdpoint.eu": must be made of letters'],
  [{ HOLDPOINT_LOG_LEVEL: 'loud' }, 'HOLDPOINT_LOG_LEVEL is "loud"'],
])('%j is refused with the name of the variable and what to do', (env, sentence) => {
  let thrown: unknown;
  try {
    workerSettings(env);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(SettingsError);
  expect(thrown).toMatchObject({ message: expect.stringContaining(sentence), remedy: expect.stringMatching(/^(Set|Correct) /) });
});
