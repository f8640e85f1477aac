import type { Target } from '../domain/target.ts';
import type { AnyAction } from './action.ts';

/** An owner annotation of a run at a node or a NodePool. */
export interface OwnerAnnotation {
  /** Name of the node, or `NodePool/NAME`. */
  node: string;
  run: string;
}

/** What runs leave at a target to tell whose a change is, such as a cordon with the id of its run. */
export interface TargetAnnotations {
  /** The kinds of target at which they are left. */
  kinds: readonly string[];
  /** The actions that leave them; a run that has begun none of these is not asked about. Any may where it is left out. */
  leftBy?: readonly string[];
  /** Takes back whatever a run has marked at a target; returns the names of the objects. May be repeated. */
  release(target: Target, run: string): Promise<string[]>;
  /** The annotations of all runs at a target. Reads only. */
  find(target: Target): Promise<OwnerAnnotation[]>;
  /** Lifts one annotation with what it stands for; returns whether it was there. */
  lift(target: Target, annotation: OwnerAnnotation): Promise<boolean>;
}

/** A system that runs work on, such as EKS: the code behind a declaration of `runbooks/actions/`. See docs/adding-a-system.md. */
export interface System {
  name: string;
  actions: readonly AnyAction[];
  /** Left out where its actions annotation nothing. */
  annotations?: TargetAnnotations;
}

/** The actions of some systems by their names. */
export function actionsOf(systems: readonly System[]): Map<string, AnyAction> {
  return new Map(systems.flatMap(({ actions }) => actions).map((action) => [action.declaration.name, action]));
}

/** The annotations at one target, whichever of the systems keep them. */
export interface AnnotationsAtTarget {
  /** @param begun the actions that the run has begun, where that is known */
  release(run: string, begun?: readonly string[]): Promise<string[]>;
  find(): Promise<OwnerAnnotation[]>;
  lift(annotation: OwnerAnnotation): Promise<boolean>;
}

/** What runs leave at a target, as the systems that serve its kind know it. */
export function annotationsAt(systems: readonly System[], target: Target): AnnotationsAtTarget {
  const keepers = systems.flatMap(({ annotations }) => (annotations?.kinds.includes(target.kind) ? annotations : []));
  const ofEach = async <Result>(ask: (annotations: TargetAnnotations) => Promise<Result>, asked = keepers): Promise<Result[]> => {
    const results: Result[] = [];
    for (const keeper of asked) results.push(await ask(keeper));
    return results;
  };
  return {
    release: async (run, begun) => {
      const asked = keepers.filter(
        ({ leftBy }) => leftBy === undefined || begun === undefined || leftBy.some((action) => begun.includes(action)),
      );
      return (await ofEach((annotations) => annotations.release(target, run), asked)).flat();
    },
    find: async () => (await ofEach((annotations) => annotations.find(target))).flat(),
    lift: async (annotation) => (await ofEach((annotations) => annotations.lift(target, annotation))).includes(true),
  };
}
