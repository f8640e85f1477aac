import { isObject, parseJson, type Json } from '../../domain/json.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import type { AnyAction } from '../action.ts';
import { holds, inWords } from './condition.ts';
import { ask, type ReadEndpoints } from './endpoint.ts';
import { gateAction, type Look } from './gate.ts';

const name = 'gate.http';
type Input = ActionInput<typeof name>;

/** `gate.http`: what an address answers. */
export function httpGate(readEndpoints: ReadEndpoints, nowMs?: () => number): AnyAction {
  const look = async (input: Input, { signal }: { signal: AbortSignal }): Promise<Look> => {
    const { endpoint, path = '', status, field } = input;
    const response = await ask(readEndpoints, { action: name, endpoint }, path, signal);
    if (response.status !== status) return { open: false, reason: `${endpoint}${path} answers ${response.status}, not ${status}` };
    if (field === undefined) return { open: true, reason: `${endpoint}${path} answers ${status}` };
    const value = valueAt(parseJson(await response.text()), field);
    if (value === undefined) return { open: false, reason: `the answer of ${endpoint}${path} has no field ${field}` };
    const open = holds(input, value);
    return { open, reason: `${field} is ${JSON.stringify(value)}, ${open ? '' : 'not '}${inWords(input)}` };
  };
  return gateAction<Input>(actions[name], look, nowMs);
}

function valueAt(answer: unknown, field: string): Json | undefined {
  let value = answer as Json | undefined;
  for (const part of field.split('.')) {
    if (Array.isArray(value)) value = /^\d+$/.test(part) ? value[Number(part)] : undefined;
    else value = isObject(value) && Object.hasOwn(value, part) ? value[part] : undefined;
  }
  return value;
}
