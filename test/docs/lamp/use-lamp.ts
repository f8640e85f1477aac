import { contextOfLook } from './activities/action.ts';
import { createSystems } from './activities/catalogue.ts';
import { createClients } from './activities/clients.ts';
import { perform } from './activities/perform.ts';
import { actionsOf, annotationsAt } from './activities/system.ts';
import { compileRunbook } from './runbooks/compiler/compile.ts';
import { targetOf } from './runbooks/compiler/inputs.ts';
import { formatProblem } from './runbooks/grammar/problem.ts';
import { parseTarget } from './runbooks/targets.ts';

const text = (uses: string): string => `apiVersion: holdpoint.dev/v1
kind: Runbook
metadata: { name: light, title: Light }
inputs: { type: object, required: [lamp], properties: { lamp: { type: string } } }
target: lamp/\${inputs.lamp}
steps:
  - { id: sign, hold: production-change }
  - { id: light, uses: ${uses}, with: { on: true } }
`;

/** Carries the step of a runbook for lamps out with the registries of this copy of the project, and prints what came of it. */
async function main(): Promise<void> {
  const { runbook, problems } = compileRunbook(text('lamp.switch'), 'light.yaml');
  const step = runbook?.steps[1];
  if (!runbook || step?.kind !== 'action') throw new Error(problems.map(formatProblem).join('\n'));
  const target = parseTarget(targetOf(runbook, { lamp: 'desk' }));
  const systems = createSystems(createClients());
  const action = actionsOf(systems).get(step.uses);
  if (!action) throw new Error(`no system has the action ${step.uses}`);
  const context = contextOfLook({ run: 'r-1', step: step.id, target, retry: 0 });
  const annotations = annotationsAt(systems, target);
  const plan = await action.plan(step.with, context);
  const surroundings = { onProgress: () => undefined, signal: AbortSignal.timeout(10_000), wait: async () => undefined };
  const first = await perform(action, plan, context, surroundings);
  const second = await perform(action, plan, context, surroundings);
  const left = (await action.plan(step.with, context)).effects;
  const marked = await annotations.find();
  const released = [await annotations.release('r-1'), await annotations.release('r-1')];
  const refused = compileRunbook(text('kubernetes.cordon'), 'light.yaml').problems.map(formatProblem);
  const acts = [first.acts, second.acts];
  process.stdout.write(JSON.stringify({ target, effects: plan.effects, acts, left, marked, released, refused }));
}

await main();
