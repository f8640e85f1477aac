import { ZodDefault } from 'zod';
import type { Json } from '../../domain/json.ts';
import { ownValue } from '../../domain/map.ts';
import type { StepPlan } from '../../domain/plan/plan.ts';
import type { ActionDeclaration } from './declaration.ts';
import { findAction } from './index.ts';

/** A setting of a step that is not its default. */
export interface Setting {
  name: string;
  value: Json;
  /** What is lost or risked by it. */
  danger?: string;
}

/** The settings of a step that are not its defaults; all of them for an action that this version does not know. */
export function settingsOf({ uses, input }: Pick<StepPlan, 'uses' | 'input'>): Setting[] {
  const declaration = findAction(uses);
  const parsed = declaration?.input.safeParse(input);
  const dangers = (parsed?.success && declaration?.dangers?.(parsed.data)) || {};
  return Object.entries(input)
    .filter(([name, value]) => declaration === undefined || JSON.stringify(defaultOf(declaration, name)) !== JSON.stringify(value))
    .map(([name, value]) => ({ name, value, danger: ownValue(dangers, name) }));
}

function defaultOf({ input }: ActionDeclaration, name: string): unknown {
  const field: unknown = ownValue(input.shape, name);
  return field instanceof ZodDefault ? field.def.defaultValue : undefined;
}
