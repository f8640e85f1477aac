import type { Forecast } from '../domain/plan/forecast.ts';
import type { PlanInput } from './messages.ts';
import { reads } from './proxies.ts';

/** Plans a whole runbook without touching anything. */
export async function planRunbook(input: PlanInput): Promise<Forecast> {
  return reads.planRunbook(input);
}
