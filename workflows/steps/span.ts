import type { Span } from '../../domain/run/span.ts';
import type { StepInstance } from '../../domain/run/step-tree.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';

/** Plans what comes up to the next hold, and shows what its lists and runbooks have become. `hold` is the one that it is signed at. */
export async function planNextSpan(run: Run, { base, queue, results }: RunProgress, hold?: StepInstance): Promise<Span> {
  const span = await run.read(({ planSpan }) => planSpan({ base, queue: hold ? queue.slice(1) : queue, results, hold }));
  run.showParts(span.groups);
  return span;
}

/** From here on the span is what people have signed: its steps are carried out. */
export function releaseSpan(run: Run, progress: RunProgress, { plan, steps, rest, results }: Span): void {
  progress.span = { plan, rest };
  progress.results = results;
  for (const step of steps) run.row(step.id).planned = step;
}
