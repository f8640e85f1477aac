// Every export is a workflow type.
export { notify } from './notify/notify.ts';
export { planRunbook } from './plan-runbook.ts';
export { runbook } from './runbook.ts';
export { schedule } from './schedule/schedule.ts';
export { sweep } from './sweep.ts';
export { testChannel } from './notify/test-channel.ts';
