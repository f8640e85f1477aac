import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { withoutManagedFields } from '../../../../activities/kubernetes/client/managed-fields.ts';

function read(text: string): unknown {
  return JSON.parse(withoutManagedFields(Buffer.from(text)).toString('utf8'));
}

/** The same by reading everything first. */
function emptied(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner: unknown) => (key === 'managedFields' && Array.isArray(inner) ? [] : inner));
}

test('Whatever an answer holds, it is read as it is but for its managedFields.', () => {
  const tricky = fc.constantFrom('managedFields', '"managedFields":[', '\\"managedFields":[', ']', '[', '"', '\\', '"]},"spec":{', 'ü]');
  const text = fc.oneof(tricky, fc.string());
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      text,
      fc.constantFrom(null, true, 7),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    ),
  }));
  fc.assert(fc.property(value, (any) => expect(read(JSON.stringify(any))).toEqual(emptied(any))));
});

test('The managedFields of a pod are left out, with texts that look like brackets.', () => {
  const managedFields = [{ manager: 'kubelet', fieldsV1: { 'f:status': { 'k:{"type":"Ready]"}': { '.': {} } }, list: [[']']] } }];
  const pods = { items: [{ metadata: { name: 'a', managedFields }, spec: {} }, { metadata: { name: 'b', managedFields } }] };
  expect(read(JSON.stringify(pods))).toEqual({
    items: [{ metadata: { name: 'a', managedFields: [] }, spec: {} }, { metadata: { name: 'b', managedFields: [] } }],
  });
});

test('Objects that are written as API servers do, with and without a spec, are told from each other.', () => {
  const hard = fc.constantFrom(']},"spec":{', '"metadata":{', '\\', '"]}', 'f:a');
  const managedFields = fc.array(fc.record({ manager: hard, fieldsV1: fc.dictionary(hard, fc.constant({}), { maxKeys: 2 }) }), {
    maxLength: 2,
  });
  const labels = fc.dictionary(hard, hard, { maxKeys: 2 });
  const pod = fc.record({ metadata: fc.record({ labels, managedFields }), spec: fc.record({ name: hard }) });
  const bare = fc.record({ metadata: fc.record({ managedFields, uid: hard }), data: labels });
  fc.assert(
    fc.property(fc.array(fc.oneof(pod, bare), { maxLength: 4 }), (items) =>
      expect(read(JSON.stringify({ items }))).toEqual(emptied({ items })),
    ),
  );
});

test('Of the fields of a pod only spec.nodeName is kept: it says that the pod was made with the name of its node.', () => {
  const owner = {
    manager: 'kube-controller-manager',
    operation: 'Update',
    fieldsV1: { 'f:spec': { 'f:nodeName': {}, 'f:containers': {} } },
  };
  const made = (managedFields: object[]): unknown => read(JSON.stringify({ metadata: { managedFields } }));
  expect(made([owner, { manager: 'kubelet', subresource: 'status' }])).toEqual({
    metadata: { managedFields: [{ fieldsV1: { 'f:spec': { 'f:nodeName': {} } } }] },
  });
  expect(made([{ manager: 'x', fieldsV1: { 'f:status': { 'f:nominatedNodeName': {} } } }])).toEqual({ metadata: { managedFields: [] } });
});

test('What is cut off is left for whoever reads it to refuse.', () => {
  expect(() => read('{"metadata":{"managedFields":[{"manager":"kub')).toThrow(SyntaxError);
});
