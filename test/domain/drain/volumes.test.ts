import { expect, test } from '@jest/globals';
import { attachmentsLeft, type AttachmentView } from '../../../domain/drain/volumes.ts';

const attachment: AttachmentView = { name: 'csi-1', node: 'a', volume: 'pv-1', attached: true };
const claims = new Map([['pv-1', 'shop/data-db-0']]);

const cases: { title: string; attachment: Partial<AttachmentView>; staying?: string[]; left: boolean }[] = [
  { title: 'of a pod that moved', attachment: {}, left: true },
  { title: 'that is being detached or attached', attachment: { attached: false }, left: true },
  { title: 'of a volume that no claim is bound to (field case more/12)', attachment: { volume: 'pv-2' }, left: false },
  { title: 'on a node that is not drained', attachment: { node: 'b' }, left: false },
  { title: 'of a pod that stays', attachment: {}, staying: ['shop/data-db-0'], left: false },
  { title: 'of a pod of another namespace that stays', attachment: {}, staying: ['other/data-db-0'], left: true },
  { title: 'of an inline volume', attachment: { volume: undefined }, left: false },
];
test.each(cases)('An attachment $title: left is $left.', ({ attachment: differences, staying = [], left }) => {
  const found = attachmentsLeft(['a'], [{ ...attachment, ...differences }], claims, new Set(staying));
  expect(found).toHaveLength(left ? 1 : 0);
});

test('What is left is told with its claim.', () => {
  expect(attachmentsLeft(['a'], [attachment], claims, new Set())).toEqual([
    { attachment: 'csi-1', node: 'a', volume: 'pv-1', claim: 'shop/data-db-0', attached: true },
  ]);
});
