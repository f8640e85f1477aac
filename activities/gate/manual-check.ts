import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';

type Facts = { items: string[] };

/**
 * `gate.manualCheck`: what only a person can see. It never opens by itself: whoever has checked the items says so with `holdpoint done`,
 * and what others sign then has each item in it.
 */
export function manualCheckGate(): AnyAction {
  return defineAction<ActionInput<'gate.manualCheck'>, Facts>({
    declaration: actions['gate.manualCheck'],
    plan: async ({ items }) => ({ ...emptyPlan<Facts>({ items }), notes: items.map((item) => `To be checked by hand: ${item}`) }),
    observe: async ({ facts: { items } }) => {
      const list = items.map((item, index) => `${index + 1}. ${item}`).join(' ');
      const remedy = 'Check each item, then say so with `holdpoint done`; others sign it, item by item.';
      return { state: 'stuck', reason: `The checklist waits for a person: ${list}`, remedy };
    },
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}
