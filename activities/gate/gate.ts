import type { ActionContext, Observation, Progress } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { isObject, type Json, type JsonObject } from '../../domain/json.ts';
import { cut, visible } from '../../domain/visible.ts';
import type { ActionDeclaration } from '../../runbooks/actions/declaration.ts';
import { parseDurationMs } from '../../runbooks/configuration/duration.ts';
import { defineAction, emptyPlan, type AnyAction } from '../action.ts';

/** A gate that was not looked at for so long may have been shut meanwhile: it begins anew. */
const gapMaxMs = 60_000;
const reasonCharactersMax = 500;

/** What one look says of a gate; the reason in words, as part of a sentence. Nothing that is unclear is open. */
export interface Look {
  open: boolean;
  reason: string;
}

/** What every gate takes besides what it looks at. */
export interface GateTime {
  holdsFor: string;
  deadline: string;
}

/** What a gate remembers between two looks. */
interface Watch {
  /** Which try of the step it is. */
  retry: number;
  startedAtMs: number;
  lookedAtMs: number;
  /** Since when it has been open; absent while it is shut. */
  openSinceMs?: number;
}

/** What a gate takes, as it stands in the facts of its plan. */
export type GateFacts = JsonObject & { input: JsonObject };

/**
 * Makes a gate of a look at the world. A look that throws is one that is shut, with the reason in its message.
 *
 * @param nowMs the clock, in milliseconds since 1970.
 */
export function gateAction<Input extends GateTime>(
  declaration: ActionDeclaration,
  look: (input: Input, context: ActionContext) => Promise<Look>,
  nowMs: () => number = Date.now,
): AnyAction {
  const lookNow = (input: Input, context: ActionContext): Promise<Look> => safeLook(() => look(input, context), context.signal);
  return defineAction<Input, GateFacts>({
    declaration,
    plan: async (input, context) => {
      const { open, reason } = await lookNow(input, context);
      return {
        ...emptyPlan<GateFacts>({ input: JSON.parse(JSON.stringify(input)) as JsonObject }),
        // What it says now is no fact: it counts what it says then.
        notes: [`It is ${open ? 'open' : 'shut'} now: ${cut(reason, reasonCharactersMax)}.`],
        estimateMs: parseDurationMs(input.holdsFor) ?? 0,
      };
    },
    observe: async ({ facts }, context) => {
      const input = facts.input as unknown as Input;
      const seen = await lookNow(input, context);
      const watch = watched(watchIn(context.checkpoint.read(), context.retry, nowMs()), seen, nowMs());
      context.checkpoint.write({ ...watch });
      return observationOf(input, seen, watch);
    },
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

/** A look whose reason can be shown; one that throws is shut, unless it can never be open, or nobody waits for it any more. */
export async function safeLook(look: () => Promise<Look>, signal: AbortSignal): Promise<Look> {
  try {
    const { open, reason } = await look();
    return { open, reason: visible(reason, reasonCharactersMax) };
  } catch (error) {
    if (signal.aborted || isWrongInput(error)) throw error;
    return { open: false, reason: visible(error instanceof Error ? error.message : String(error), reasonCharactersMax) };
  }
}

/** What can never be open is told when it is planned. */
function isWrongInput(error: unknown): boolean {
  return error instanceof HoldpointError && error.code === 'action-input-invalid';
}

/** What was remembered, if it is of this try and fresh; else a new beginning. */
function watchIn(value: Json | undefined, retry: number, nowMs: number): Watch {
  const known = isObject(value) ? (value as unknown as Watch) : undefined;
  const isFresh = known?.retry === retry && nowMs >= known.lookedAtMs && nowMs - known.lookedAtMs <= gapMaxMs;
  return isFresh ? known : { retry, startedAtMs: nowMs, lookedAtMs: nowMs };
}

function watched({ openSinceMs, ...watch }: Watch, { open }: Look, nowMs: number): Watch {
  return { ...watch, lookedAtMs: nowMs, ...(open && { openSinceMs: openSinceMs ?? nowMs }) };
}

function observationOf(
  { holdsFor, deadline }: GateTime,
  { open, reason }: Look,
  { startedAtMs, lookedAtMs, openSinceMs }: Watch,
): Observation {
  const neededMs = parseDurationMs(holdsFor) ?? Infinity;
  const openMs = openSinceMs === undefined ? 0 : lookedAtMs - openSinceMs;
  const seconds = (ms: number): number => Math.floor(ms / 1000);
  const state = open ? `open for ${seconds(openMs)} s of ${holdsFor}` : 'shut';
  const [done, total] = [Math.min(seconds(openMs), seconds(neededMs)), seconds(neededMs)];
  const progress: Progress = { summary: `${state}: ${reason}`, done, total, unit: 'seconds', items: [] };
  if (open && openMs >= neededMs) return { state: 'done', outputs: {}, progress: { ...progress, summary: `open: ${reason}` } };
  // One that is open may have begun just before the end, and goes on for as long as it has to.
  const isLate = lookedAtMs - startedAtMs >= (parseDurationMs(deadline) ?? 0);
  if (open || !isLate) return { state: 'moving', progress };
  const remedy = 'Find out why and put it right, then try again; to go past the gate (`skip`), others must sign that.';
  return { state: 'stuck', reason: `The gate is shut after ${deadline}: ${reason}.`, remedy, progress };
}
