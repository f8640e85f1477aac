import { setTimeout as wait } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { WorkloadEnds } from '../domain/drain/pod-ends.ts';
import { durationsIn, podEndsIn, summaryOf, withPastEnds, type StepDuration } from '../domain/plan/past.ts';
import type { Forecast } from '../domain/plan/forecast.ts';
import type { SpanPlan } from '../domain/plan/plan.ts';
import type { EvidenceStore } from './evidence/store.ts';
import { doneRunsOf } from './runs.ts';

/** How many runs on a target are looked at, the newest ones. */
const runsReadMax = 20;
/** Targets whose past is remembered, the longest unused one given up first. */
const targetsRememberedMax = 2_000;
/** How long a plan waits for it; the next one has it then. */
const patienceMs = 2_000;

interface Past {
  /** The workflow that it was read for. */
  reader: string | undefined;
  known: Promise<PastOfRun>;
  /** By run: the record of a run that is over stays as it is. */
  ofRuns: Map<string, PastOfRun>;
}

/** What is kept of the record of a run, or of several. */
interface PastOfRun {
  steps: StepDuration[];
  ends: WorkloadEnds[];
}

const nothingKnown: PastOfRun = { steps: [], ends: [] };

/**
 * How long steps have taken on targets before, and how pods have ended there, by the records of the runs that Temporal still knows of.
 * Nothing rests on it.
 */
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
    const { steps, ends } = await Promise.race([this.of(plan.target), wait(patienceMs, nothingKnown, { ref: false })]);
    if (steps.length + ends.length === 0) return span;
    const known = plan.steps.map((step) => {
      const past = summaryOf(steps.flatMap((one) => (one.step === step.id && one.uses === step.uses ? [one.ms] : [])));
      return { ...step, plan: withPastEnds(step.plan, step.uses, ends), ...(past && { past }) };
    });
    return { ...span, plan: { ...plan, steps: known } };
  }

  /** Each workflow reads it once: while a run is open, its target has no other one that could end. */
  private of(target: string): Promise<PastOfRun> {
    const reader = Context.current().info.workflowExecution?.runId;
    const remembered = this.targets.get(target);
    const past = remembered && remembered.reader === reader ? remembered : this.begin(target, reader, remembered?.ofRuns);
    this.targets.delete(target);
    this.targets.set(target, past);
    const [oldest] = this.targets.keys();
    if (this.targets.size > targetsRememberedMax && oldest !== undefined) this.targets.delete(oldest);
    return past.known;
  }

  private begin(target: string, reader: string | undefined, known: Past['ofRuns'] = new Map()): Past {
    const past: Past = { reader, known: Promise.resolve(nothingKnown), ofRuns: new Map() };
    past.known = this.read(target, known, past.ofRuns).catch(() => {
      // The next plan asks again.
      if (this.targets.get(target) === past) this.targets.delete(target);
      return nothingKnown;
    });
    return past;
  }

  /** A record that cannot be read leaves its run out: an estimate must keep nobody from signing. */
  private async read(target: string, known: Past['ofRuns'], ofRuns: Past['ofRuns']): Promise<PastOfRun> {
    for (const run of await doneRunsOf(target, runsReadMax)) {
      const found = known.get(run) ?? (await this.readRun(run, target).catch(() => undefined));
      if (found) ofRuns.set(run, found);
    }
    const all = [...ofRuns.values()];
    return { steps: all.flatMap(({ steps }) => steps), ends: all.flatMap(({ ends }) => ends) };
  }

  private async readRun(run: string, target: string): Promise<PastOfRun> {
    const entries = await this.evidence.read(run);
    // Whoever reaches Temporal can start a workflow that names any run.
    return entries[0]?.body.target === target ? { steps: durationsIn(entries), ends: podEndsIn(entries) } : nothingKnown;
  }
}
