import { perform } from '../../activities/perform.ts';
import type { Json } from '../../domain/json.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import { actionsWithProbe, contextOf } from './aurora-world.ts';

// A worker that fails over and prints every checkpoint, so that a test can kill it and go on from there: `action-main.ts PLAN RUN`.
const [plan = '', run = ''] = process.argv.slice(2);
const action = actionsWithProbe().get('rds.failover');
if (!action) throw new Error('there is no action rds.failover');
const context = contextOf(run);
let kept: Json | undefined;
const tell = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
await perform(action, JSON.parse(plan) as ActionPlan, context, {
  onProgress: (progress) => tell({ summary: progress?.summary ?? '' }),
  signal: context.signal,
  wait: context.wait,
  checkpoint: {
    read: () => kept,
    write: (value) => {
      kept = value;
      tell({ checkpoint: value });
    },
  },
});
