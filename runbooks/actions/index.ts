import type { z } from 'zod';
import { autoscaling } from './autoscaling.ts';
import { backup } from './backup.ts';
import type { ActionDeclaration, SystemDeclaration } from './declaration.ts';
import { eks } from './eks.ts';
import { etcd } from './etcd.ts';
import { gate } from './gate.ts';
import { kubernetes } from './kubernetes.ts';
import { rds } from './rds.ts';

/** Every system that runs can work on, by name. A new one is added here, with one line, and its code in activities/catalogue.ts. */
export const systems = { eks, kubernetes, autoscaling, gate, rds, etcd, backup } as const satisfies Record<string, SystemDeclaration>;

export type SystemName = keyof typeof systems;

type Together<Union> = (Union extends unknown ? (each: Union) => void : never) extends (all: infer All) => void ? All : never;
type Actions = Together<(typeof systems)[SystemName]['actions']>;

/** Every action that a runbook can use, by name. */
export const actions = Object.assign({}, ...Object.values(systems).map((system) => system.actions)) as Actions;

export type ActionName = keyof Actions;

/** The input of an action after zod has checked it and filled in the defaults. */
export type ActionInput<Name extends ActionName> = z.output<Actions[Name]['input']>;

/** Finds the declaration of an action by its name. */
export function findAction(name: string): ActionDeclaration | undefined {
  return Object.hasOwn(actions, name) ? actions[name as ActionName] : undefined;
}

/** Whether an action refuses writes for a time, which is spent of the availability of its target. */
export function interrupts(name: string): boolean {
  return findAction(name)?.interrupts === true;
}

/** The names of all actions. */
export function actionNames(): ActionName[] {
  return Object.keys(actions) as ActionName[];
}

/** The names of all systems. */
export function systemNames(): SystemName[] {
  return Object.keys(systems) as SystemName[];
}

/** The system to which an action or a kind of target belongs. */
export function systemOf(of: { action: string } | { targetKind: string }): SystemName | undefined {
  const declarations: [string, SystemDeclaration][] = Object.entries(systems);
  const found = declarations.find(([, { actions: own, targets }]) => {
    return 'action' in of ? Object.hasOwn(own, of.action) : targets.some(({ kind }) => kind === of.targetKind);
  });
  return found?.[0] as SystemName | undefined;
}
