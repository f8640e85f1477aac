import type { ChangeKind } from '../action.ts';
import type { Json, JsonObject } from '../json.ts';
import { ownValue } from '../map.ts';
import { assign } from './assignment.ts';
import {
  alternativesOf,
  membersOf,
  rejectionsNeeded,
  type Escalation,
  type GroupRequirement,
  type PeopleBook,
  type Policy,
} from './policy.ts';

/** A rule of holdpoint.yaml: what must hold for changes of some kinds to some targets. Every rule that covers a step counts. */
export interface Rule {
  /** Patterns such as `kubernetes/prod-*`; every target where left out. */
  targets?: string[];
  /** Every kind of change where left out. */
  changes?: ChangeKind[];
  /** Groups and people of whom one must be whoever starts the run, or sends it commands; everybody who is known where left out. */
  operate?: string[];
  /** Groups and people whose start alone is enough: such changes need no hold above them then. */
  start?: string[];
  /** The least policy that the hold above such changes must have. */
  policy?: string;
  /** Settings of actions that are forbidden, or need a policy of their own. */
  settings?: SettingRule[];
}

/** A setting that is forbidden where it has that value, or is above or below it; with a policy it needs that one, at least. */
export interface SettingRule {
  action: string;
  setting: string;
  is?: Json;
  above?: number;
  below?: number;
  policy?: string;
}

/** The part of the configuration that rules are judged by. */
export interface RuleBook {
  rules?: Rule[];
  policies: Record<string, Policy>;
  /** Ids of people by the name of their group. */
  groups: Record<string, string[]>;
  people: Record<string, unknown>;
}

/** A step as rules see it. */
export interface JudgedStep {
  id: string;
  /** Name of its action. */
  uses: string;
  change: ChangeKind;
  /** The input of the action, with its defaults. */
  settings: JsonObject;
}

/** The steps of one span, and who has signed or is to sign for them. */
export interface JudgedSpan {
  target: string;
  /** Whoever starts the run; undefined where that is not known yet, and then nobody is refused for who they are. */
  requester?: string;
  /** The policy of the hold above the steps; undefined where only the start is signed. */
  policy?: Policy;
  steps: readonly JudgedStep[];
}

export type RuleCode = 'rule-operator' | 'rule-hold' | 'rule-policy' | 'rule-setting';

/** Why a step must not be carried out. */
export interface RuleFinding {
  code: RuleCode;
  step: string;
  /** Place of the rule, such as `rules[2]`; `rules` for the one that counts where there is none. */
  rule: string;
  /** Sentences. */
  reason: string;
  remedy: string;
}

/** Says what rules have against the steps of a span; nothing where they may be carried out. */
export function judge(book: RuleBook, span: JudgedSpan): RuleFinding[] {
  return span.steps.flatMap((step) => {
    const rules = rulesFor(book, span.target, step.change);
    return [
      ...rules.flatMap((placed) => operatorFinding(book, placed, span, step)),
      ...signatureFindings(book, rules, span, step),
      ...rules.flatMap((placed) => settingFindings(book, placed, span, step)),
    ];
  });
}

/** Why a person may not send commands to a run on a target, as a sentence; undefined where they may. */
export function refusalOfOperator(book: RuleBook, target: string, person: string): string | undefined {
  const [first] = (book.rules ?? []).filter(
    ({ targets, operate }) => operate && covers(targets, target) && !isAmong(book, operate, person),
  );
  return first?.operate && `${person} may not operate runs on ${target}: ${namesOf(first.operate)} may.`;
}

/**
 * Whether whoever can release a hold by one policy could also release it by the other. It is true only where that is seen from the
 * groups: for each way to meet the one there must be a way to meet the other whose places are all covered, each by a place of its own
 * for the same people or for fewer.
 */
export function isAtLeast(given: Policy, least: Policy, book: PeopleBook): boolean {
  const strict =
    least.exclude.every((excluded) => given.exclude.includes(excluded)) &&
    rejectionsNeeded(given) <= rejectionsNeeded(least) &&
    (least.reason === 'optional' || given.reason === 'required') &&
    (given.delegate === undefined || least.delegate !== undefined) &&
    (given.breakGlass ?? []).every((person) => least.breakGlass?.includes(person)) &&
    isNoWider(given.escalate, least.escalate, book);
  if (!strict) return false;
  const ways = alternativesOf(least);
  return alternativesOf(given).every((way) => ways.some((other) => coversPlaces(way, other, book)));
}

/** Whether further people may sign no sooner than by the other policy, and none but its. */
function isNoWider(given: Escalation | undefined, least: Escalation | undefined, book: PeopleBook): boolean {
  if (given === undefined) return true;
  return least !== undefined && given.afterMs >= least.afterMs && isWithin(book, given.to, least.to);
}

/** Whether each place of the one can be given a place of its own of the other, whose people could all fill it. */
function coversPlaces(given: readonly GroupRequirement[], least: readonly GroupRequirement[], book: PeopleBook): boolean {
  const claims = given.flatMap(({ atLeast }, index) => Array.from({ length: atLeast }, (_, place) => `${index} ${place}`));
  const slots = least.map(({ atLeast: count, of: allowed }) => {
    const fitting = claims.filter((claim) => isWithin(book, given[Number.parseInt(claim, 10)]!.of, allowed));
    return { count, people: new Set(fitting) };
  });
  const signed = claims.map((claim) => ({ signer: claim, authority: claim }));
  return assign(signed, slots).missing === 0;
}

function isWithin(book: PeopleBook, group: string, other: string): boolean {
  const allowed = membersOf(book, other);
  return membersOf(book, group).every((person) => allowed.includes(person));
}

/** Whether a pattern of targets covers one: `*` stands for any characters of one part. */
export function matchesTarget(pattern: string, target: string): boolean {
  const [patternParts, parts] = [pattern.split('/'), target.split('/')];
  return patternParts.length === parts.length && patternParts.every((part, index) => matchesPart(part, parts[index]!));
}

/** Matches from the first `*` on, always at the first place where it can be: that takes no time to speak of. */
function matchesPart(pattern: string, text: string): boolean {
  const [first = '', ...others] = pattern.split('*');
  const last = others.pop();
  if (last === undefined) return pattern === text;
  if (!text.startsWith(first) || text.length < first.length + last.length || !text.endsWith(last)) return false;
  let from = first.length;
  for (const piece of others) {
    const at = text.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return from <= text.length - last.length;
}

interface PlacedRule extends Rule {
  place: string;
}

function rulesFor({ rules = [] }: RuleBook, target: string, change: ChangeKind): PlacedRule[] {
  return rules
    .map((rule, index) => ({ ...rule, place: `rules[${index}]` }))
    .filter(({ targets, changes }) => covers(targets, target) && (changes?.includes(change) ?? true));
}

function covers(targets: string[] | undefined, target: string): boolean {
  return targets?.some((pattern) => matchesTarget(pattern, target)) ?? true;
}

function operatorFinding(
  book: RuleBook,
  { operate, place }: PlacedRule,
  { requester, target }: JudgedSpan,
  step: JudgedStep,
): RuleFinding[] {
  if (operate === undefined || requester === undefined || isAmong(book, operate, requester)) return [];
  const reason = `${requester} may not start ${step.uses} on ${target}: ${namesOf(operate)} may.`;
  return [{ code: 'rule-operator', step: step.id, rule: place, reason, remedy: 'Have one of them start it.' }];
}

/** Whether enough has been signed. What only reads needs no signature, whatever rules say. */
function signatureFindings(book: RuleBook, rules: readonly PlacedRule[], span: JudgedSpan, step: JudgedStep): RuleFinding[] {
  if (step.change === 'reads') return [];
  const startIsEnough = ({ start }: Rule): boolean => {
    return start !== undefined && (span.requester === undefined || isAmong(book, start, span.requester));
  };
  const findings = rules.flatMap((rule) => {
    if (rule.policy === undefined || startIsEnough(rule)) return [];
    const problem = policyProblem(book, span.policy, rule.policy);
    return problem === undefined ? [] : [{ ...problem, step: step.id, rule: rule.place, reason: `${does(step, span)}. ${problem.reason}` }];
  });
  if (span.policy !== undefined || findings.length > 0 || step.change === 'adds' || rules.some(startIsEnough)) return findings;
  const reason = `${does(step, span)}. There is no hold above it, and no rule lets the start${by(span.requester)} be enough.`;
  return [{ code: 'rule-hold', step: step.id, rule: 'rules', reason, remedy: 'Put a hold above it, or allow it with `start` of a rule.' }];
}

function settingFindings(book: RuleBook, { settings = [], place }: PlacedRule, span: JudgedSpan, step: JudgedStep): RuleFinding[] {
  return settings.flatMap((rule, index) => {
    const value = ownValue(step.settings, rule.setting);
    if (rule.action !== step.uses || value === undefined || !concerns(rule, value)) return [];
    const at = { step: step.id, rule: `${place}.settings[${index}]` };
    const set = `${step.uses} has \`${rule.setting}: ${JSON.stringify(value)}\``;
    if (rule.policy === undefined) {
      const reason = `${set}, which is forbidden on ${span.target}.`;
      return [{ code: 'rule-setting', ...at, reason, remedy: 'Take the setting out, or give it another value.' }];
    }
    const problem = policyProblem(book, span.policy, rule.policy);
    return problem === undefined ? [] : [{ ...problem, ...at, reason: `${set}. ${problem.reason}` }];
  });
}

function concerns({ is, above, below }: SettingRule, value: Json): boolean {
  if (is !== undefined && value !== is) return false;
  if (above === undefined && below === undefined) return true;
  return typeof value === 'number' && ((above !== undefined && value > above) || (below !== undefined && value < below));
}

/** A policy that is no longer there can be met by nobody. */
function policyProblem(
  book: RuleBook,
  given: Policy | undefined,
  name: string,
): Pick<RuleFinding, 'code' | 'reason' | 'remedy'> | undefined {
  const least = ownValue(book.policies, name);
  const remedy = `Put a hold of the policy ${name} above it.`;
  if (given === undefined) return { code: 'rule-hold', reason: `It needs a hold of the policy ${name}, at least.`, remedy };
  if (least !== undefined && isAtLeast(given, least, book)) return undefined;
  return { code: 'rule-policy', reason: `It needs the policy ${name}, at least, and ${given.name} is weaker.`, remedy };
}

function does({ uses, change }: JudgedStep, { target }: JudgedSpan): string {
  const what = { reads: 'reads', adds: 'adds to', changes: 'changes what is in use on', destroys: 'takes away for good what is on' };
  return `${uses} ${what[change]} ${target}`;
}

function by(requester: string | undefined): string {
  return requester === undefined ? '' : ` of ${requester}`;
}

function isAmong(book: RuleBook, names: readonly string[], person: string): boolean {
  return names.some((name) => name === person || membersOf(book, name).includes(person));
}

function namesOf(names: readonly string[]): string {
  return names.length === 1 ? names[0]! : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
