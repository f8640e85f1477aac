import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import proto from '@temporalio/proto';
import { partOf, textsOfUsers, type Definition } from '../../lab/part-of-temporal-api.ts';

interface Root {
  toJSON(): { nested: Record<string, Definition> };
  /** Whose `fromJSON` throws where a type is missing. */
  constructor: { fromJSON(json: { nested: Record<string, Definition> }): Root };
}

const project = fileURLToPath(new URL('../..', import.meta.url));
const root = proto as unknown as Root;
const whole = root.toJSON().nested;

test('a part has what is called and named, with all that it is made of, and little else', () => {
  const part = partOf(whole, ['client.workflowService.queryWorkflow({})', 'proto.temporal.api.enums.v1.IndexedValueType.KEYWORD']);
  const api = part.temporal!.nested!.api!.nested!;
  const inside = (name: string): string[] => Object.keys(api[name]?.nested?.v1?.nested ?? {});
  expect(Object.keys(api.workflowservice!.nested!.v1!.nested!.WorkflowService!.methods!)).toEqual(['QueryWorkflow']);
  expect(inside('workflowservice').toSorted()).toEqual(['QueryWorkflowRequest', 'QueryWorkflowResponse', 'WorkflowService']);
  expect(inside('enums')).toEqual(expect.arrayContaining(['IndexedValueType', 'QueryRejectCondition', 'WorkflowExecutionStatus']));
  expect(inside('query')).toEqual(expect.arrayContaining(['WorkflowQuery', 'QueryRejected']));
  expect(inside('common')).toContain('Payload');
  expect(inside('history')).toEqual([]);
});

test('a package that is named is kept whole, and so is the message around one that is named', () => {
  const { temporal } = partOf(whole, [
    'const { Payload } = proto.temporal.api.common.v1;',
    'temporal.api.workflow.v1.VersioningOverride.PinnedOverride',
  ]);
  const api = temporal!.nested!.api!.nested!;
  expect(Object.keys(api.common!.nested!.v1!.nested!)).toEqual(
    Object.keys(whole.temporal!.nested!.api!.nested!.common!.nested!.v1!.nested!),
  );
  expect(api.workflow!.nested!.v1!.nested!.VersioningOverride).toMatchObject({ fields: {}, nested: { PinnedOverride: {} } });
});

test('the part of our programs is complete, and is less than half of the whole', async () => {
  const part = partOf(whole, await textsOfUsers(project));
  expect(() => root.constructor.fromJSON({ nested: structuredClone(part) })).not.toThrow();
  expect(JSON.stringify(part).length).toBeLessThan(JSON.stringify(whole).length / 2);
});
