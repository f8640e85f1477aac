import type { Span } from '../../domain/run/span.ts';
import type { ShortReads } from '../proxies.ts';
import { finished } from './record-step-done.ts';
import type { StepInstance } from '../../domain/run/step-tree.ts';
import type { StepStatus } from '../../domain/run/steps.ts';
import type { RunProgress } from '../run/progress.ts';
import type { Run } from '../run/run.ts';

const overStatuses: readonly StepStatus[] = ['done', 'skipped'];

/** Plans what comes up to the next hold, and shows what its lists and runbooks have become. `hold` is the one that it is signed at. */
export async function planNextSpan(run: Run, progress: RunProgress, hold?: StepInstance): Promise<Span> {
  const { base, queue, results } = progress;
  const span = await run.read(({ planSpan }) =>
    planSpan({ base, queue: hold ? queue.slice(1) : queue, results, hold, ...begunOf(run, progress) }),
  );
  run.showParts(span.groups);
  return span;
}

/** What has become of the span that is being carried out, where the rest of it is planned anew. */
function begunOf(run: Run, { span }: RunProgress): Pick<Parameters<ShortReads['planSpan']>[0], 'over' | 'begun'> {
  if (!span) return {};
  const over = run.rows.flatMap(({ shown, planned }) => (planned === undefined && overStatuses.includes(shown.status) ? [shown.id] : []));
  const open = run.openSteps().flatMap(({ shown }) => (shown.startedAt === undefined ? [] : [shown.id]));
  return { over, begun: span.plan.steps.filter(({ id }) => open.includes(id)) };
}

/** From here on the span is what people have signed: its steps are carried out. What was begun under signatures before goes on. */
export function releaseSpan(run: Run, progress: RunProgress, { plan, steps, rest, results }: Span): void {
  progress.span = { plan, rest };
  progress.results = results;
  for (const row of run.openSteps()) {
    if (steps.some(({ id }) => id === row.shown.id)) continue;
    finished(row);
    Object.assign(row.shown, { status: 'skipped', summary: 'no part of the plan any more' });
  }
  for (const step of steps) {
    const row = run.row(step.id);
    if (row.planned) {
      const { retry, adopt, checkpoint } = row.planned;
      row.planned = { ...step, retry, adopt, checkpoint };
      row.shown.startedAt = undefined;
    } else row.planned = step;
  }
}
