import type { z } from 'zod';
import type { ActionDeclaration } from './declaration.ts';
import { eksActions } from './eks.ts';
import { kubernetesActions } from './kubernetes.ts';

/** Every action that a runbook can use, by name. A system adds its own here, with one line. */
export const actions = { ...eksActions, ...kubernetesActions } as const;

export type ActionName = keyof typeof actions;

/** The input of an action after zod has checked it and filled in the defaults. */
export type ActionInput<Name extends ActionName> = z.output<(typeof actions)[Name]['input']>;

/** Finds the declaration of an action by its name. */
export function findAction(name: string): ActionDeclaration | undefined {
  return Object.hasOwn(actions, name) ? actions[name as ActionName] : undefined;
}

/** The names of all actions. */
export function actionNames(): ActionName[] {
  return Object.keys(actions) as ActionName[];
}
