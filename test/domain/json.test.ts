import { expect, test } from '@jest/globals';
import { isObject, parseJson } from '../../domain/json.ts';

test.each([
  ['a text', '{"a":1}', { a: 1 }],
  ['its bytes', new TextEncoder().encode('{"a":"ä"}'), { a: 'ä' }],
  ['null, which is JSON', 'null', null],
  ['a text that is no JSON', '{', undefined],
  ['bytes that are no UTF-8, which must not be read as other characters', Uint8Array.of(0x22, 0xff, 0x22), undefined],
])('parseJson reads %s.', (_title, text, value) => {
  expect(parseJson(text)).toEqual(value);
});

test.each([
  [{}, true],
  [[], false],
  [null, false],
  [undefined, false],
  ['{}', false],
])('%j is an object: %s.', (value, itIs) => {
  expect(isObject(value)).toBe(itIs);
});
