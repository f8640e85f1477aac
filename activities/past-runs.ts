import { setTimeout as wait } from 'node:timers/promises';
import { durationsIn, summaryOf, type StepDuration } from '../domain/plan/past.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import type { SpanPlan } from '../domain/plan/plan.ts';
import type { EvidenceStore } from './evidence/store.ts';
import { doneRunsOf } from './runs.ts';

/** How many runs on a target are looked at, the newest ones. */
const runsReadMax = 20;
/** Targets whose past is remembered, the longest unused one given up first, and for how long. */
const targetsRememberedMax = 2_000;
const rememberedMs = 3_600_000;
/** How long a plan waits for it; the next one has it then. */
const patienceMs = 2_000;

interface Past {
  readAtMs: number;
  steps: Promise<StepDuration[]>;
}

/** How long steps have taken on targets before, by the records of the runs that Temporal still knows of. Nothing rests on it. */
export class PastRuns {
  private readonly targets = new Map<string, Past>();
  private readonly evidence: EvidenceStore;

  constructor(evidence: EvidenceStore) {
    this.evidence = evidence;
  }

  /** A forecast with what is known of its steps. To be called within an activity. */
  async addToEach(forecast: Forecast): Promise<Forecast> {
    return { ...forecast, spans: await Promise.all(forecast.spans.map((span) => this.addTo(span))) };
  }

  /** A span with what is known of its steps, which the hash of its plan does not cover. To be called within an activity. */
  async addTo<Planned extends { plan: SpanPlan }>(span: Planned): Promise<Planned> {
    const { plan } = span;
    const steps = await Promise.race([this.of(plan.target), wait(patienceMs, [], { ref: false })]);
    if (steps.length === 0) return span;
    const known = plan.steps.map((step) => {
      const past = summaryOf(steps.flatMap((one) => (one.step === step.id && one.uses === step.uses ? [one.ms] : [])));
      return past ? { ...step, past } : step;
    });
    return { ...span, plan: { ...plan, steps: known } };
  }

  private async of(target: string): Promise<StepDuration[]> {
    const remembered = this.targets.get(target);
    const now = Date.now();
    const past = remembered && now - remembered.readAtMs < rememberedMs ? remembered : { readAtMs: now, steps: this.read(target) };
    this.targets.delete(target);
    this.targets.set(target, past);
    const [oldest] = this.targets.keys();
    if (this.targets.size > targetsRememberedMax && oldest !== undefined) this.targets.delete(oldest);
    return past.steps;
  }

  /** A record that cannot be read leaves its run out: an estimate must keep nobody from signing. */
  private async read(target: string): Promise<StepDuration[]> {
    const runs = await doneRunsOf(target, runsReadMax).catch(() => []);
    const found: StepDuration[] = [];
    for (const run of runs) {
      const entries = await this.evidence.read(run).catch(() => []);
      // Whoever reaches Temporal can start a workflow that names any run.
      if (entries[0]?.body.target === target) found.push(...durationsIn(entries));
    }
    return found;
  }
}
