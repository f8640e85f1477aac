import { isObject, type Json, type JsonObject } from '../json.ts';
import { ownValue } from '../map.ts';
import { shortHash } from '../plan/plan.ts';
import { visible } from '../visible.ts';
import type { EvidenceEntry } from './evidence.ts';

/** How many effects of a step are listed. */
const effectsShownMax = 20;

/** An entry of a record in words. */
export interface Told {
  /** What happened, as a sentence without a full stop. */
  says: string;
  /** What belongs to it, a line each. */
  more?: string[];
}

/** Says in words what an entry of a record tells. Whatever the record holds is made visible. */
export function toldOf({ kind, body }: Pick<EvidenceEntry, 'kind' | 'body'>): Told {
  const tell = ownValue(tellers, kind);
  return tell ? tell(body) : { says: text(kind) };
}

const tellers: Record<string, ((body: JsonObject) => Told) | undefined> = {
  'run.started': ({ person, target, runbookName, planHash }) => ({
    says: `${text(person)} started ${text(runbookName)} on ${text(target)}, with plan ${hash(planHash)}`,
  }),
  'run.scheduled': ({ person, target, runbookName, schedule, opens }) => ({
    says: `schedule ${text(schedule)} of ${text(person)} started ${text(runbookName)} on ${text(target)} for the opening at ${text(opens)}`,
  }),
  'schedule.skipped': ({ schedule, opens, reason }) => ({
    says: `the schedule ${text(schedule)} started no run for the opening at ${text(opens)}: ${text(reason)}`,
  }),
  'pre-approval.accepted': ({ person, hold, planHash, reason }) => ({
    says: `${text(person)} had signed approve in advance at ${text(hold)} over plan ${hash(planHash)}: ${text(reason) || 'no reason'}`,
  }),
  'plan.made': ({ plan }) => ({ says: 'the first steps were planned', more: effectsOf(plan) }),
  'hold.requested': ({ hold, number, question, planHash, policy, plan }) => ({
    says: `signatures were asked for at ${text(hold)} (request ${text(number)}) over plan ${hash(planHash)}`,
    more: [...effectsOf(plan), `policy ${nameIn(policy)}; its question: ${text(question)}`],
  }),
  'decision.accepted': ({ person, decision, hold, planHash, reason }) => ({
    says: `${text(person)} signed ${text(decision)} at ${text(hold)} over plan ${hash(planHash)}: ${whyOf(reason)}`,
  }),
  'decision.deferred': ({ person, from, hold, planHash, reason }) => ({
    says: `${text(person)} signed approve at ${text(hold)} over plan ${hash(planHash)}, from ${text(from)} on: ${whyOf(reason)}`,
  }),
  'decision.delegated': ({ person, hold, planHash, reason }) => ({
    says: `${text(person)} signed approve at ${text(hold)} over plan ${hash(planHash)} in the place of another: ${whyOf(reason)}`,
  }),
  'delegation.accepted': ({ person, to, scope, until }) => ({
    says: `${text(person)} had signed that ${text(to)} may sign for ${text(scope)} until ${text(until)}`,
  }),
  'decision.withdrawn': ({ person, hold, reason }) => ({
    says: `${text(person)} took back the approval at ${text(hold)}: ${whyOf(reason)}`,
  }),
  'decision.voided': ({ person, hold, reason }) => ({
    says: `the word of ${text(person)} at ${text(hold)} does not count any more: ${text(reason)}`,
  }),
  'glass.broken': ({ person, hold, planHash, reason }) => ({
    says: `BREAK GLASS: ${text(person)} signed alone at ${text(hold)} over plan ${hash(planHash)}: ${text(reason)}`,
  }),
  'hold.reminded': ({ hold, number }) => ({ says: `reminder ${text(number)} of hold ${text(hold)}` }),
  'hold.escalated': ({ hold, to }) => ({ says: `people of ${text(to)} may sign at hold ${text(hold)} as well` }),
  'command.accepted': ({ person, command, step, reason }) => ({
    says: `${text(person)} signed ${[text(command), text(step)].filter((word) => word !== '').join(' ')}: ${whyOf(reason)}`,
  }),
  'hold.released': ({ hold }) => ({ says: `hold ${text(hold)} was released` }),
  'hold.drifted': ({ hold }) => ({ says: `the plan of hold ${text(hold)} had changed: its signatures are void` }),
  'hold.rejected': ({ hold, by }) => ({ says: `hold ${text(hold)} was rejected by ${text(by)}` }),
  'hold.expired': ({ hold }) => ({ says: `hold ${text(hold)} expired` }),
  'hold.withdrawn': ({ hold }) => ({ says: `hold ${text(hold)} was withdrawn` }),
  'step.started': ({ step, uses, effects }) => ({ says: `step ${text(step)} (${text(uses)}) began`, more: effectLines(effects) }),
  'step.done': ({ step, summary }) => ({ says: `step ${text(step)} was done${typeof summary === 'string' ? `: ${text(summary)}` : ''}` }),
  'step.skipped': ({ step, askedBy }) => ({
    says: `step ${text(step)} was left out${typeof askedBy === 'string' ? ` as ${text(askedBy)} asked` : ''}`,
  }),
  'step.stuck': ({ step, reason }) => ({ says: `step ${text(step)} was stuck: ${text(reason)}` }),
  'step.failed': ({ step, reason }) => ({ says: `step ${text(step)} failed: ${text(reason)}` }),
  'undo.started': ({ reason, plan }) => ({ says: `a rollback began: ${text(reason)}`, more: effectsOf(plan) }),
  'attempt.refused': ({ person, attempt, reason }) => ({ says: `${text(attempt)} of ${text(person)} was refused: ${text(reason)}` }),
  'window.parked': ({ step, reason }) => ({ says: `the run was parked before step ${text(step)}: ${text(reason)}` }),
  'window.resumed': ({ calendar, signatures }) => ({
    says: `the run went on (window ${text(calendar)}) after another look at the plan of what was left: signatures ${text(signatures)}`,
  }),
  'window.closed': ({ calendar, step, atClose }) => ({
    says: `the window ${text(calendar)} closed while step ${text(step)} went on${atClose === 'undo' ? ', which is undone then' : ''}`,
  }),
  'window.exception': ({ calendar, askedBy, reason, signedBy }) => ({
    says: `steps were let begin outside of the window ${text(calendar)}, as ${text(askedBy)} asked: ${text(reason)}`,
    more: [`signed by ${Array.isArray(signedBy) ? signedBy.map(text).join(', ') : text(signedBy)}`],
  }),
  'run.paused': () => ({ says: 'the run was paused' }),
  'run.resumed': () => ({ says: 'the run went on after its pause' }),
  'annotations.lifted': ({ nodes }) => ({ says: `the cordons of the run were lifted (${Array.isArray(nodes) ? nodes.length : 0})` }),
  'annotations.kept': ({ reason }) => ({ says: `cordons of the run could not be lifted: ${text(reason)}` }),
  'run.ended': ({ phase, reason, leftovers }) => ({
    says: `the run ended, ${text(phase)}: ${text(reason)}`,
    more: Array.isArray(leftovers) ? leftovers.map((left) => `left behind: ${text(left)}`) : [],
  }),
};

function effectsOf(plan: Json | undefined): string[] {
  if (!isObject(plan) || !Array.isArray(plan.steps)) return [];
  return effectLines(plan.steps.flatMap((step) => (isObject(step) && isObject(step.plan) ? (step.plan.effects ?? []) : [])));
}

function effectLines(effects: Json | undefined): string[] {
  if (!Array.isArray(effects)) return [];
  const lines = effects.map((effect) => (isObject(effect) ? `${text(effect.object)}: ${text(effect.change)}` : text(effect)));
  const left = lines.length - effectsShownMax;
  return left > 0 ? [...lines.slice(0, effectsShownMax), `and ${left} more`] : lines;
}

function whyOf(reason: Json | undefined): string {
  return text(reason) || 'no reason given';
}

function nameIn(policy: Json | undefined): string {
  return isObject(policy) ? text(policy.name) : 'unknown';
}

function hash(value: Json | undefined): string {
  return shortHash(text(value));
}

/** Whatever a record holds, on one line. */
function text(value: Json | undefined): string {
  return visible(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
}
