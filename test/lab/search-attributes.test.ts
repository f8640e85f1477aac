import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Connection } from '@temporalio/client';
import { registerSearchAttributes } from '../../lab/search-attributes.ts';
import { connectTemporal } from '../support/temporal.ts';

let connection: Connection;

beforeAll(async () => {
  connection = await connectTemporal();
});

afterAll(async () => {
  await connection.close();
});

test('search attributes can be queried after registration, and a second registration changes nothing', async () => {
  const names = ['LabTestFirst', 'LabTestSecond'];
  await registerSearchAttributes(connection, 'default', names);
  await registerSearchAttributes(connection, 'default', [...names, 'LabTestThird']);
  const query = "LabTestFirst = 'a' OR LabTestSecond = 'b' OR LabTestThird = 'c'";
  const { count } = await connection.workflowService.countWorkflowExecutions({ namespace: 'default', query });
  expect(count.toNumber()).toBe(0);
});

test('two registrations at once do not disturb each other', async () => {
  const register = () => registerSearchAttributes(connection, 'default', ['LabTestTwins']);
  await expect(Promise.all([register(), register()])).resolves.toEqual([undefined, undefined]);
});

test('an attribute of another type is reported by name with the way out', async () => {
  const searchAttributes = { LabTestNumber: 3 };
  await connection.operatorService.addSearchAttributes({ namespace: 'default', searchAttributes }).catch(() => undefined);
  await expect(registerSearchAttributes(connection, 'default', ['LabTestNumber'])).rejects.toThrow(
    /LabTestNumber of namespace default has type INDEXED_VALUE_TYPE_INT, Holdpoint needs Keyword\. Remove it/,
  );
});

test('a namespace that is not there is named in the error', async () => {
  await expect(registerSearchAttributes(connection, 'nowhere', ['LabTestFirst'])).rejects.toThrow(/nowhere/);
});
