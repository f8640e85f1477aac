import { resolve, dirname } from 'node:path';
import {
  costsOf,
  standingOf,
  type AvailabilityGoal,
  type BudgetStanding,
  type Interruption,
  type PastCost,
} from '../../domain/availability/availability.ts';
import { ownValue } from '../../domain/map.ts';
import { interrupts } from '../../runbooks/actions/index.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { evidenceDirectoryDefault } from '../../runbooks/configuration/places.ts';
import { createEvidenceDirectory } from '../evidence/directory.ts';
import { createEvidenceBucket } from '../evidence/s3.ts';
import { AvailabilityLedger } from './ledger.ts';

/** How the budget of a target stands, and what it is made of. */
export interface AvailabilityReport {
  target: string;
  /** Undefined where holdpoint.yaml gives the target none. */
  goal?: AvailabilityGoal;
  standing?: BudgetStanding;
  costs: PastCost[];
  /** The oldest first. */
  interruptions: Interruption[];
}

/**
 * Reads the outages of a target from the records of its runs, with the user's own rights. Throws EvidenceError where records cannot be
 * read.
 */
export async function readAvailabilityByHand(
  target: string,
  { file, configuration }: { file: string; configuration: Configuration },
  nowMs: number,
): Promise<AvailabilityReport> {
  const { evidence: place = { directory: evidenceDirectoryDefault } } = configuration;
  const evidence = 's3' in place ? createEvidenceBucket(place.s3) : createEvidenceDirectory(resolve(dirname(file), place.directory));
  const goal = ownValue(configuration.availability ?? {}, target);
  const interruptions = await new AvailabilityLedger(evidence, interrupts).read(target, goal ? nowMs - goal.perMs : 0);
  return {
    target,
    ...(goal && { goal, standing: standingOf(goal, interruptions, nowMs) }),
    costs: costsOf(interruptions),
    interruptions,
  };
}
