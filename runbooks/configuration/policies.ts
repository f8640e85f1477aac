import * as z from 'zod';
import {
  excludedRoles,
  groupRequirementsMax,
  rejectionsNeeded,
  requirementProblem,
  shortfallOf,
  signaturesMax,
  signersOf,
  withPeople,
  type Policy,
  type PolicyTerms,
  type Requirement,
} from '../../domain/approval/policy.ts';
import { ownValue } from '../../domain/map.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import type { SourceMap } from '../grammar/document.ts';
import type { ValuePath } from '../grammar/problem.ts';
import { parseDurationMs } from './duration.ts';

const expiresDefault = '4h';
const expiresMaxMs = 30 * 86_400_000;
/** What `expires` says where a hold is to close with the window of its run. */
const windowsClose = "at the window's close";
/** How often a hold may remind before it closes. */
const remindersMax = 200;
/** How often a hold may remind at most that closes with a window, which may be weeks away. */
const remindWithWindowMinMs = 30 * 60_000;
/** How many people `exclude` may name. */
const excludedMax = 100;

const durationOr = (word?: string) =>
  z
    .string()
    .refine((text) => text === word || (parseDurationMs(text) ?? 0) > 0, {
      error: 'must be a duration such as 90s, 15m, 4h, 2d or PT4H30M',
    })
    .refine((text) => (parseDurationMs(text) ?? 0) <= expiresMaxMs, { error: 'must be 30 days at most' });

interface RequirementDocument {
  atLeast?: number;
  of?: string;
  all?: RequirementDocument[];
  any?: RequirementDocument[];
}

const ofGroup = {
  atLeast: z.int().min(1).max(signaturesMax).describe('How many different people must approve.').optional(),
  of: z.string().describe('The group they belong to.').optional(),
};
/** Of itself: a part is told by a getter, which the library reads when it has the whole. */
const requirement = z.strictObject({
  ...ofGroup,
  get all() {
    return allParts();
  },
  get any() {
    return anyParts();
  },
});
const partsOf = (what: string): z.ZodOptional<z.ZodType<RequirementDocument[]>> =>
  z.array(requirement).min(1).max(groupRequirementsMax).describe(what).optional();
const allParts = () => partsOf('Requirements that must all be met, by different people.');
const anyParts = () => partsOf('Requirements of which one must be met.');

/** A policy as `policies` of holdpoint.yaml has it. */
export const policy = z.strictObject({
  ...ofGroup,
  all: allParts(),
  any: anyParts(),
  exclude: z
    .array(z.string())
    .max(excludedMax)
    .describe('Who does not count: `requester`, who started the run; `earlier-approvers`, who have signed at holds before; ids of people.')
    .optional(),
  reason: z.enum(['required', 'optional']).describe('Whether a decision needs a reason; optional if left out.').optional(),
  deny: z
    .int()
    .min(1)
    .max(signaturesMax)
    .describe('How many different people must reject for the hold to close; 1 if left out.')
    .optional(),
  expires: durationOr(windowsClose)
    .describe(`When the hold closes without a verdict: 90s, 15m, 4h, 2d, or "${windowsClose}"; ${expiresDefault} if left out.`)
    .optional(),
  keepSignatures: z
    .literal(true, 'must be true, or left out')
    .describe('Signatures outlive the opening of the window that they were given for, while the plan of what is left is the same.')
    .optional(),
  delegate: z
    .enum(['allowed'])
    .describe('Whether somebody may sign in the place of another, by a delegation; nobody if left out.')
    .optional(),
  breakGlass: z
    .array(z.string())
    .min(1)
    .max(excludedMax)
    .describe('People who may release a hold alone, with a reason; others must sign that afterwards. Nobody if left out.')
    .optional(),
  remind: durationOr().describe('How often those who may still sign are told again: 30m, 2h; never if left out.').optional(),
  escalate: z
    .strictObject({
      after: durationOr().describe('How long the hold waits before that.'),
      to: z.string().describe('The group whose people may sign as well from then on.'),
    })
    .describe('Who else may sign, in the place of anybody, when the hold has waited for some time.')
    .optional(),
});

type PolicyDocument = z.output<typeof policy>;

interface People {
  people: Record<string, unknown>;
  groups: Record<string, string[]>;
  policies: Record<string, PolicyDocument>;
}

/** Reports what is wrong with policies: groups and people that are not there, limits, and what nobody could ever meet. */
export function checkPolicies({ people, groups, policies }: People, sourceMap: SourceMap): void {
  for (const [id, given] of Object.entries(policies)) {
    const path = ['policies', id];
    checkExcluded(given.exclude ?? [], [...path, 'exclude'], people, sourceMap);
    checkBreakGlass(given, [...path, 'breakGlass'], people, sourceMap);
    checkTimes(given, path, groups, sourceMap);
    if (!checkRequirement(given, path, groups, sourceMap)) continue;
    const complete = policyOf(id, given);
    const problem = requirementProblem(complete);
    if (problem === undefined) checkReachable(complete, given, groups, sourceMap);
    else sourceMap.error(path, problem);
  }
}

/** The policies of a configuration that has been checked, with their defaults. */
export function policiesOf(policies: Record<string, PolicyDocument>): Record<string, Policy> {
  return Object.fromEntries(Object.entries(policies).map(([id, given]) => [id, policyOf(id, given)]));
}

function policyOf(id: string, given: PolicyDocument): Policy {
  const { exclude = [], reason = 'optional', deny, delegate, breakGlass, remind, escalate } = given;
  const { expires = expiresDefault, keepSignatures } = given;
  const expiresAtClose = expires === windowsClose;
  const terms: PolicyTerms = { name: id, exclude, reason, expiresMs: msOf(expiresAtClose ? expiresDefault : expires) };
  if (expiresAtClose) terms.expiresAtClose = true;
  if (keepSignatures) terms.keepSignatures = true;
  if (deny !== undefined) terms.deny = deny;
  if (delegate) terms.delegate = delegate;
  if (breakGlass) terms.breakGlass = breakGlass;
  if (remind !== undefined) terms.remindMs = msOf(remind);
  if (escalate) terms.escalate = { afterMs: msOf(escalate.after), to: escalate.to };
  return { ...requirementOf(given), ...terms };
}

/** Of a duration that has been checked. */
function msOf(duration: string): number {
  return parseDurationMs(duration) ?? 0;
}

function requirementOf({ atLeast = 0, of: group = '', all, any }: RequirementDocument): Requirement {
  if (all) return { all: all.map(requirementOf) };
  return any ? { any: any.map(requirementOf) } : { atLeast, of: group };
}

/** What is to happen while a hold waits must come before it closes. */
function checkTimes(given: PolicyDocument, path: ValuePath, groups: People['groups'], sourceMap: SourceMap): void {
  const { expires = expiresDefault, remind, escalate } = given;
  const withWindow = expires === windowsClose;
  const expiresMs = withWindow ? expiresMaxMs : msOf(expires);
  const late = `the hold closes after ${withWindow ? '30d' : expires}.`;
  if (remind !== undefined && withWindow && msOf(remind) < remindWithWindowMinMs) {
    sourceMap.error([...path, 'remind'], 'Is too often for a hold that closes with a window, which may be weeks away: 30m at least.');
  } else if (remind !== undefined && !withWindow) {
    const reminders = Math.floor(expiresMs / msOf(remind));
    if (msOf(remind) >= expiresMs) sourceMap.error([...path, 'remind'], `Would never remind anybody: ${late}`);
    else if (reminders > remindersMax) {
      sourceMap.error([...path, 'remind'], `Would remind ${reminders} times before the hold closes; at most ${remindersMax} are allowed.`);
    }
  }
  if (!escalate) return;
  if (msOf(escalate.after) >= expiresMs) sourceMap.error([...path, 'escalate', 'after'], `Would never happen: ${late}`);
  if (ownValue(groups, escalate.to)) return;
  const suggestion = didYouMean(escalate.to, Object.keys(groups));
  sourceMap.error([...path, 'escalate', 'to'], `There is no group "${escalate.to}".${suggestion}`);
}

/** Says whether each part asks for one thing, of groups that are there. */
function checkRequirement(given: RequirementDocument, path: ValuePath, groups: People['groups'], sourceMap: SourceMap): boolean {
  const { atLeast, of: group, all, any } = given;
  const asks = [atLeast ?? group, all, any].filter((part) => part !== undefined);
  if (asks.length > 1) {
    sourceMap.error(path, 'Must ask for one thing: `atLeast` and `of`, or `all`, or `any`.');
    return false;
  }
  if (all ?? any) {
    const key = all ? 'all' : 'any';
    const checked = (all ?? any ?? []).map((part, index) => checkRequirement(part, [...path, key, index], groups, sourceMap));
    return checked.every(Boolean);
  }
  if (atLeast === undefined) sourceMap.error([...path, 'atLeast'], 'Is missing.');
  if (group === undefined) sourceMap.error([...path, 'of'], 'Is missing.');
  if (atLeast === undefined || group === undefined) return false;
  const members = ownValue(groups, group);
  if (members === undefined) sourceMap.error([...path, 'of'], `There is no group "${group}".${didYouMean(group, Object.keys(groups))}`);
  else if (atLeast > new Set(members).size) {
    const message = `Asks for ${atLeast} people, but the group "${group}" has ${new Set(members).size}: the hold could never open.`;
    sourceMap.error([...path, 'atLeast'], message);
  } else return true;
  return false;
}

function checkExcluded(exclude: readonly string[], path: ValuePath, people: People['people'], sourceMap: SourceMap): void {
  const known = [...excludedRoles, ...Object.keys(people)];
  for (const [index, word] of exclude.entries()) {
    if (!known.includes(word)) {
      const message = `Must be "requester", "earlier-approvers" or somebody in people, but is "${word}".${didYouMean(word, known)}`;
      sourceMap.error([...path, index], message);
    } else if (exclude.indexOf(word) < index) sourceMap.error([...path, index], `"${word}" is there twice.`);
  }
}

function checkBreakGlass(
  { breakGlass = [], exclude = [] }: PolicyDocument,
  path: ValuePath,
  people: People['people'],
  sourceMap: SourceMap,
): void {
  const known = Object.keys(people);
  for (const [index, person] of breakGlass.entries()) {
    if (!known.includes(person)) {
      sourceMap.error([...path, index], `Must be somebody in people, but is "${person}".${didYouMean(person, known)}`);
    } else if (breakGlass.indexOf(person) < index) sourceMap.error([...path, index], `"${person}" is there twice.`);
    else if (exclude.includes(person)) sourceMap.error([...path, index], `"${person}" is excluded by name, and cannot break the glass.`);
  }
}

/** What all people of the groups together could not meet, whoever starts the run, or never reject. */
function checkReachable(complete: Policy, given: PolicyDocument, groups: People['groups'], sourceMap: SourceMap): void {
  // An empty name is nobody's: here only who is excluded by name is out.
  const parties = { ...withPeople(complete, { people: {}, groups }), requester: '' };
  const path = ['policies', complete.name];
  if (shortfallOf(parties) !== undefined) {
    const names = complete.exclude.filter((word) => !excludedRoles.includes(word as (typeof excludedRoles)[number]));
    const but = names.length > 0 ? `, without ${names.join(', ')}` : '';
    sourceMap.error(path, `Asks for more different people than its groups have${but}: the hold could never open.`);
  }
  const mayReject = signersOf(parties).length;
  if (given.deny !== undefined && rejectionsNeeded(complete) > mayReject) {
    sourceMap.error(
      [...path, 'deny'],
      `Asks for ${given.deny} rejections, but only ${mayReject} people may decide: nobody could close the hold.`,
    );
  }
}
