import type { AnyAction } from '../../activities/action.ts';
import type { NewEntry } from '../../activities/evidence/store.ts';
import { toFailure } from '../../activities/failure.ts';
import { createActivities, type Activities, type ActivityParts } from '../../activities/index.ts';
import type { ActionContext } from '../../domain/action.ts';

type Performed = Awaited<ReturnType<Activities['perform']>>;

/** A step that is being performed. */
export interface StepContext {
  run: string;
  step: string;
  /** Name of the cluster. */
  cluster: string;
}

/** What a test does around the work of the real activities. Whatever it throws, the activity throws as a worker would. */
export interface Interference {
  /** Around an attempt to perform a step. */
  aroundPerform?(context: StepContext, perform: () => Promise<Performed>): Promise<Performed>;
  /** After each act of a step; they are counted from 1 within one attempt. */
  afterAct?: (context: StepContext, acts: number) => Promise<void>;
  /** After an entry is safe in the record, before whoever has asked for it hears so. */
  afterEntry?(run: string, entry: NewEntry): Promise<void>;
}

/** The real activities of a worker, with a test's interference. */
export function interferedActivities(parts: ActivityParts, interference: Interference): Activities {
  const { evidence } = parts;
  const acts = new Map<string, number>();
  const keyOf = ({ run, step }: StepContext): string => `${run} ${step}`;
  const activities = createActivities({
    ...parts,
    systems: parts.systems.map((system) => ({
      ...system,
      actions: system.actions.map((action) => counting(action, acts, keyOf, interference)),
    })),
    evidence: {
      ...evidence,
      append: async (run, entry) => {
        const receipt = await evidence.append(run, entry);
        await interference.afterEntry?.(run, entry);
        return receipt;
      },
    },
  });
  return {
    ...activities,
    perform: async (request) => {
      const { run, step, target } = request.context;
      const context = { run, step, cluster: target.name };
      const perform = async (): Promise<Performed> => {
        acts.delete(keyOf(context));
        return activities.perform(request);
      };
      try {
        return await (interference.aroundPerform?.(context, perform) ?? perform());
      } catch (error) {
        throw error instanceof Error && error.name === 'CancelledFailure' ? error : toFailure(error);
      }
    },
  };
}

/** The action, which tells after each act that it has acted: by a single call, or over a watch. */
function counting(
  action: AnyAction,
  acts: Map<string, number>,
  keyOf: (context: StepContext) => string,
  { afterAct }: Interference,
): AnyAction {
  const tell = async ({ run, step, target }: ActionContext): Promise<void> => {
    const known = { run, step, cluster: target.name };
    const count = (acts.get(keyOf(known)) ?? 0) + 1;
    acts.set(keyOf(known), count);
    await afterAct?.(known, count);
  };
  const follow: AnyAction['follow'] = async (plan, context) => {
    const following = await action.follow!(plan, context);
    return {
      observe: () => following.observe(),
      act: async () => {
        await following.act();
        await tell(context);
      },
      changed: (timeoutMs, signal) => following.changed(timeoutMs, signal),
      stop: () => following.stop(),
    };
  };
  return {
    ...action,
    act: async (plan, context) => {
      await action.act(plan, context);
      await tell(context);
    },
    follow: action.follow && follow,
  };
}
