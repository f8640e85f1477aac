import { sleep, workflowInfo } from '@temporalio/workflow';
import { endingKind } from '../domain/evidence/evidence.ts';
import { EvidenceLog } from './run/evidence-log.ts';
import { failureOf } from './run/failure.ts';
import { toJson } from './json.ts';
import type { SweepInput, SweepResult, SweptTarget } from './messages.ts';
import { sweeper } from './proxies.ts';

/** How many targets one sweep looks at where none are named. */
const targetsMax = 200;
/** Clusters that cannot be reached take their time. */
const targetsAtOnceMax = 8;

/**
 * Finds the annotations that dead runs have left at their targets (cordons above all) and lifts them. What is lifted is in a record of
 * the sweep's own, written before anything is touched. A target that cannot be looked at is told, and keeps no other one waiting.
 * Sweeps do each other no harm, and none to the runs that are open or begin meanwhile.
 */
export async function sweep({ targets: named, dryRun, askedBy }: SweepInput): Promise<SweepResult> {
  const { targets, more } = named ? { targets: [...new Set(named)], more: false } : await sweeper.targetsOfRuns({ most: targetsMax });
  const record = new SweepRecord(askedBy);
  const swept: SweptTarget[] = [];
  for (let first = 0; first < targets.length; first += targetsAtOnceMax) {
    const some = targets.slice(first, first + targetsAtOnceMax);
    swept.push(...(await Promise.all(some.map((target) => sweepTarget(target, dryRun, record)))));
  }
  await record.end(swept);
  return { targets: swept, more, evidence: record.path };
}

async function sweepTarget(target: string, dryRun: boolean, record: SweepRecord): Promise<SweptTarget> {
  try {
    const first = await sweeper.findOwnerAnnotations({ target });
    const mustSettle = !dryRun && first.dead.length > 0 && first.settlesInMs > 0;
    if (mustSettle) await sleep(first.settlesInMs);
    const { dead, kept } = mustSettle ? await sweeper.findOwnerAnnotations({ target }) : first;
    if (dryRun || dead.length === 0) return { target, lifted: dead, kept };
    await record.write('annotations.found', { target, annotations: toJson(dead) });
    const { lifted } = await sweeper.liftOwnerAnnotations({ target, annotations: dead });
    await record.write('annotations.lifted', { target, annotations: toJson(lifted) });
    return { target, lifted, kept };
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    return { target, lifted: [], kept: [], failure };
  }
}

/** The record of a sweep; there is none of one that has nothing to lift. */
class SweepRecord {
  path: string | undefined;
  private readonly askedBy: string;
  private readonly entries = new EvidenceLog(`sweep-${workflowInfo().runId}`, 0);
  private opened: Promise<unknown> | undefined;

  constructor(askedBy: string) {
    this.askedBy = askedBy;
  }

  async write(kind: string, body: Parameters<EvidenceLog['write']>[1]): Promise<void> {
    this.opened ??= this.entries.write('sweep.started', { askedBy: this.askedBy });
    await this.opened;
    ({ path: this.path } = await this.entries.write(kind, body));
  }

  async end(targets: readonly SweptTarget[]): Promise<void> {
    if (!this.opened) return;
    const lifted = targets.reduce((sum, target) => sum + target.lifted.length, 0);
    const leftovers = targets.flatMap(({ target, failure }) => (failure ? [`${target}: ${failure.reason}`] : []));
    await this.write(endingKind, { phase: 'done', reason: `${lifted} owner annotations of runs that are over were lifted`, leftovers });
  }
}
