import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { KubernetesObject } from './objects.ts';
import type { Change, Store } from './store.ts';

/** A part of the cluster that brings what is towards what should be, one object at a time. */
export interface Controller {
  readonly name: string;
  /** Takes note of a change and says which keys must be looked at because of it. */
  onChange(change: Change): string[];
  /** Looks at the object of a key and takes the next step. */
  reconcile(key: string): void;
}

/** What controllers work with. */
export interface ControllerContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** Does something after a simulated delay; at once while the world is being set up. */
  later(delayMs: number, action: () => void): void;
  /** Has a controller look at a key again. */
  wake(controller: string, key: string): void;
  /** Has a controller look at a key again after a simulated delay, even while the world is being set up. */
  wakeAfter(controller: string, key: string, delayMs: number): void;
  recordEvent(regarding: KubernetesObject, type: 'Normal' | 'Warning', reason: string, message: string, component: string): void;
}

/** How many keys are worked off before requests get their turn. */
const keysPerTurn = 200;

/** How many keys may be worked off while a world is set up: beyond that, controllers chase each other. */
const keysToSettleMax = 20_000_000;

/** One object that a controller cannot deal with must not stop the others, but nor may it go unnoticed. */
function reconcile(controller: Controller, key: string): void {
  try {
    controller.reconcile(key);
  } catch (error) {
    const cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`the ${controller.name} controller of the sandbox could not deal with ${key}: ${cause}`);
  }
}

/** Works off what controllers have to look at, each key at most once at a time. */
export class ControllerQueue {
  private readonly controllers = new Map<string, Controller>();
  private readonly waiting = new Map<string, { controller: Controller; key: string }>();
  private turn: NodeJS.Immediate | undefined;
  private stopped = false;

  /** Registers the controllers with the changes of a store. */
  run(store: Store, controllers: Controller[]): void {
    for (const controller of controllers) this.controllers.set(controller.name, controller);
    store.onChange((change) => {
      for (const controller of controllers) for (const key of controller.onChange(change)) this.add(controller, key);
    });
  }

  wake(name: string, key: string): void {
    const controller = this.controllers.get(name);
    if (!controller) throw new Error(`there is no controller called ${name}`);
    this.add(controller, key);
  }

  /** Works until nothing is left to do; throws if that does not come to an end. */
  settle(): void {
    let worked = 0;
    // What comes up meanwhile is gone through in the same loop.
    for (const [id, { controller, key }] of this.waiting) {
      if (++worked > keysToSettleMax) throw new Error('the world does not settle: its controllers keep changing things');
      this.waiting.delete(id);
      reconcile(controller, key);
    }
  }

  stop(): void {
    this.stopped = true;
    if (this.turn) clearImmediate(this.turn);
    this.waiting.clear();
  }

  private add(controller: Controller, key: string): void {
    if (this.stopped) return;
    this.waiting.set(`${controller.name} ${key}`, { controller, key });
    this.turn ??= setImmediate(() => {
      this.turn = undefined;
      this.work();
    });
  }

  private work(): void {
    let left = keysPerTurn;
    for (const [id, { controller, key }] of this.waiting) {
      this.waiting.delete(id);
      reconcile(controller, key);
      if (--left === 0) break;
    }
    if (this.waiting.size === 0 || this.turn || this.stopped) return;
    this.turn = setImmediate(() => {
      this.turn = undefined;
      this.work();
    });
  }
}
