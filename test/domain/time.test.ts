import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { timeMsOf } from '../../domain/time.ts';

describe('a time', () => {
  test('is read as Date reads it', () => {
    const date = fc.date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true });
    fc.assert(fc.property(date, (date) => timeMsOf(date.toISOString()) === date.getTime()));
  });

  test.each(['2026-02-28T23:59:59Z', '2024-02-29T00:00:00.5Z', '2000-02-29T12:30:01.25Z', '1969-12-31T23:59:59.999Z'])(
    '%s is read with or without fractions',
    (text) => expect(timeMsOf(text)).toBe(Date.parse(text)),
  );

  test.each([
    '',
    'now',
    '2026-11-21',
    '2026-11-21T10:00:00',
    '2026-11-21T10:00:00+09:00',
    '2026-11-21T10:00:00.0000Z',
    ' 2026-11-21T10:00:00Z',
    '2026-11-21T10:00:00Z\n',
    '2026-02-29T10:00:00Z',
    '1900-02-29T10:00:00Z',
    '2026-04-31T10:00:00Z',
    '2026-13-01T10:00:00Z',
    '2026-00-01T10:00:00Z',
    '2026-01-00T10:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T23:60:00Z',
    '2026-01-01T23:59:60Z',
  ])('is not %j', (text) => expect(timeMsOf(text)).toBeUndefined());
});
