// Every export is a workflow type.
export { planRunbook } from './plan-runbook.ts';
export { runbook } from './runbook.ts';
export { sweep } from './sweep.ts';
