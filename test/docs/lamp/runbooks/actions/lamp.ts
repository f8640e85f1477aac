import { z } from 'zod';
import { declareAction, minuteMs, type SystemDeclaration } from './declaration.ts';

const lampSwitch = declareAction({
  name: 'lamp.switch',
  summary: 'Switches a lamp on or off.',
  worksOn: ['lamp'],
  input: z.strictObject({ on: z.boolean().describe('Whether the lamp is to be on.') }),
  change: 'changes',
  limits: { timeoutMs: minuteMs },
  outputs: { on: { type: 'bool' } },
});

/** Lamps, by their names: `lamp/desk`. */
export const lamp = {
  name: 'lamp',
  targets: [
    {
      kind: 'lamp',
      name: {
        title: 'name',
        pattern: /^[a-z]{1,20}$/,
        refusal: 'is no name of a lamp: 1 to 20 small letters',
        example: 'desk',
      },
    },
  ],
  actions: { 'lamp.switch': lampSwitch },
} as const satisfies SystemDeclaration;
