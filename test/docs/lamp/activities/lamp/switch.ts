import { lamp } from '../../runbooks/actions/lamp.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';
import type { Lamps } from './lamps.ts';

const estimateMs = 100;

type SwitchFacts = { on: boolean; before: boolean };

/** `lamp.switch`: a lamp is on or off. */
export function switchAction(lamps: Lamps): AnyAction {
  return defineAction<{ on: boolean }, SwitchFacts>({
    declaration: lamp.actions['lamp.switch'],
    plan: async ({ on }, { target }) => {
      const { on: before } = await lamps.read(target.name);
      const effect = { object: `Lamp/${target.name}`, change: 'switch', before: said(before), after: said(on) };
      return { ...emptyPlan({ on, before }), effects: on === before ? [] : [effect], outputs: { on }, estimateMs };
    },
    observe: async ({ facts }, { target }) => {
      const { on } = await lamps.read(target.name);
      return on === facts.on ? { state: 'done', outputs: { on } } : { state: 'todo' };
    },
    act: async ({ facts }, { target, run }) => {
      await lamps.write(target.name, { on: facts.on, run });
    },
    undo: async ({ facts }) => [{ uses: 'lamp.switch', with: { on: facts.before } }],
  });
}

function said(on: boolean): string {
  return on ? 'on' : 'off';
}
