import type { Target } from '../domain/target.ts';
import type { AnyAction } from './action.ts';

/** A mark of a run at a node. */
export interface Mark {
  node: string;
  run: string;
}

/** What runs leave at a target to tell whose a change is, such as a cordon with the id of its run. */
export interface TargetMarks {
  /** The kinds of target at which they are left. */
  kinds: readonly string[];
  /** Takes back whatever a run has marked at a target; returns the names of the objects. May be repeated. */
  release(target: Target, run: string): Promise<string[]>;
  /** The marks of all runs at a target. Reads only. */
  find(target: Target): Promise<Mark[]>;
  /** Lifts one mark with what it stands for; returns whether it was there. */
  lift(target: Target, mark: Mark): Promise<boolean>;
}

/** A system that runs work on, such as EKS: the code behind a declaration of `runbooks/actions/`. See docs/adding-a-system.md. */
export interface System {
  name: string;
  actions: readonly AnyAction[];
  /** Left out where its actions mark nothing. */
  marks?: TargetMarks;
}

/** The actions of some systems by their names. */
export function actionsOf(systems: readonly System[]): Map<string, AnyAction> {
  return new Map(systems.flatMap(({ actions }) => actions).map((action) => [action.declaration.name, action]));
}

/** The marks at one target, whichever of the systems keep them. */
export interface MarksAtTarget {
  release(run: string): Promise<string[]>;
  find(): Promise<Mark[]>;
  lift(mark: Mark): Promise<boolean>;
}

/** What runs leave at a target, as the systems that serve its kind know it. */
export function marksAt(systems: readonly System[], target: Target): MarksAtTarget {
  const keepers = systems.flatMap(({ marks }) => (marks?.kinds.includes(target.kind) ? marks : []));
  const ofEach = async <Result>(ask: (marks: TargetMarks) => Promise<Result>): Promise<Result[]> => {
    const results: Result[] = [];
    for (const keeper of keepers) results.push(await ask(keeper));
    return results;
  };
  return {
    release: async (run) => (await ofEach((marks) => marks.release(target, run))).flat(),
    find: async () => (await ofEach((marks) => marks.find(target))).flat(),
    lift: async (mark) => (await ofEach((marks) => marks.lift(target, mark))).includes(true),
  };
}
