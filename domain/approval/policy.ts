import { isObject } from '../json.ts';
import { ownValue } from '../map.ts';
import { assign, type Assignment, type Claim } from './assignment.ts';

/** So many different people of a group. */
export interface GroupRequirement {
  /** How many different people must approve. */
  atLeast: number;
  /** The group they must belong to. */
  of: string;
}

/** Who must sign. In `all`, nobody counts for two of the parts; of `any`, one part is enough. */
export type Requirement = GroupRequirement | { all: Requirement[] } | { any: Requirement[] };

/** An approval policy of holdpoint.yaml: who must sign for a hold to be released. */
export type Policy = Requirement & PolicyTerms;

/** What a policy says besides who must sign. */
export interface PolicyTerms {
  name: string;
  /** Who does not count: `requester`, whoever started the run; `earlier-approvers`, who have signed at holds before; ids of people. */
  exclude: string[];
  /** Whether a decision needs a reason. */
  reason: 'required' | 'optional';
  /** After this long without a verdict the hold closes; silence never approves. */
  expiresMs: number;
  /** The hold closes with the window of the run instead, where it has one: with the opening that it is in, else with the next one. */
  expiresAtClose?: true;
  /** Signatures outlive the opening that they were given for, as long as the plan of what is left is the same; not where it is left out. */
  keepSignatures?: true;
  /** How many different people must reject for the hold to close; one where it is left out. */
  deny?: number;
  /** People of a further group may sign as well when the hold has waited for so long. */
  escalate?: Escalation;
  /** Whether somebody may sign in the place of another, by a delegation; nobody where it is left out. */
  delegate?: 'allowed';
  /** People who may release a hold alone, each by their own signed word and with a reason; nobody where it is left out. */
  breakGlass?: string[];
  /** Those who may sign are told again each time that the hold has waited for so long. */
  remindMs?: number;
}

/** A group that may sign as well from a time on. */
export interface Escalation {
  afterMs: number;
  to: string;
}

/** The name that stands for everybody who is known, where no policy says who may sign. */
export const everybody = 'people';

/** The words of `exclude` that are no ids of people. */
export const excludedRoles = ['requester', 'earlier-approvers'] as const;

/** How deep `all` and `any` may stand in each other. */
export const requirementDepthMax = 5;
/** How many groups a policy may name, each time counted. */
export const groupRequirementsMax = 20;
/** How many different ways `any` may leave to meet a policy. */
export const alternativesMax = 64;
/** How many signatures a policy may ask for in one of these ways. */
export const signaturesMax = 100;

/** Who takes part in a decision besides the policy. */
export interface Parties {
  policy: Policy;
  /** People of all groups that the policy names, each once. */
  members: readonly string[];
  /** People of each group that the policy names, by its name; left out where it names one, whose people are the members. */
  groups?: Readonly<Record<string, readonly string[]>>;
  requester: string;
  /** The operator who has asked for what is to be signed, where that is not a step of the runbook: somebody else has to sign it. */
  askedBy?: string;
  /** People who have signed at earlier holds of the run; left out where nobody has. */
  earlierApprovers?: readonly string[];
  /** When people of the group that the policy escalates to could sign as well; ISO 8601, UTC. */
  escalatedAt?: string;
}

/** An approval as a policy counts it: who has signed, and in whose place where that is not their own. */
export interface Approval {
  person: string;
  inPlaceOf?: string;
}

/** How far approvals meet a policy. */
export interface Fulfilment {
  /** The fewest signatures that are missing; 0 where the policy is met. */
  missing: number;
  /** What is missing, in words: `1 signature of sre and 1 signature of dba`; empty where the policy is met. */
  inWords: string;
  /** The people whose signature would fill a place that is empty, in the order of the members. */
  maySign: string[];
  /** For which group each signature counts that does. */
  counted: { person: string; group: string }[];
}

/** What is wrong with the shape of a requirement, as a sentence; undefined where it is within its limits. */
export function requirementProblem(requirement: Requirement): string | undefined {
  if (hasEmptyPart(requirement)) return '`all` and `any` need at least one part.';
  if (depthOf(requirement) > requirementDepthMax) return `\`all\` and \`any\` stand in each other ${requirementDepthMax} deep at most.`;
  const leaves = groupRequirementsOf(requirement);
  if (leaves.length > groupRequirementsMax) return `Names ${leaves.length} groups; at most ${groupRequirementsMax} are allowed.`;
  const ways = waysOf(requirement);
  if (ways > alternativesMax) return `Leaves ${ways} ways to meet it; at most ${alternativesMax} are allowed.`;
  const most = Math.max(...alternativesOf(requirement).map(signaturesOf));
  return most > signaturesMax ? `Asks for ${most} signatures; at most ${signaturesMax} are allowed.` : undefined;
}

/** Reads a requirement that comes from a record; undefined where it is none, or beyond the limits of one. */
export function readRequirement(value: unknown): Requirement | undefined {
  if (!isRequirement(value, 0)) return undefined;
  return requirementProblem(value) === undefined ? value : undefined;
}

/** The groups that a requirement asks people of, with how many, in their order. */
export function groupRequirementsOf(requirement: Requirement): GroupRequirement[] {
  return partsOf(requirement)?.flatMap(groupRequirementsOf) ?? [requirement as GroupRequirement];
}

/** The names of all groups whose people may sign under a policy, now or later, each once. */
export function groupsNamedBy(policy: Policy): string[] {
  const named = groupRequirementsOf(policy).map(({ of: group }) => group);
  return [...new Set(policy.escalate ? [...named, policy.escalate.to] : named)];
}

/** People by their ids, and groups of them, as a configuration has them. */
export interface PeopleBook {
  people: Readonly<Record<string, unknown>>;
  groups: Readonly<Record<string, readonly string[] | undefined>>;
}

/** The people of a group; of `people`, which need not be listed, everybody. */
export function membersOf({ people, groups }: PeopleBook, group: string): readonly string[] {
  return ownValue(groups, group) ?? (group === everybody ? Object.keys(people) : []);
}

/** A policy with the people of its groups, as `Parties` has them. */
export type PolicyWithPeople = Pick<Parties, 'policy' | 'groups'> & { members: string[] };

/** A policy with the people of its groups. */
export function withPeople(policy: Policy, book: PeopleBook): PolicyWithPeople {
  const groups = groupsNamedBy(policy).map((group) => [group, membersOf(book, group)] as const);
  const members = [...new Set(groups.flatMap(([, people]) => people))];
  return groups.length === 1 ? { policy, members } : { policy, members, groups: Object.fromEntries(groups) };
}

/** The people whose signatures count, in the order of the members. */
export function signersOf(parties: Parties): string[] {
  const entitled = new Set(slotsOf(parties).flatMap((slots) => slots.flatMap(({ people }) => [...people])));
  return [...new Set(parties.members)].filter((person) => entitled.has(person));
}

/** Why a person does not count whatever groups they are in: the word of `exclude` that is meant, or `asker`; undefined where they may. */
export function exclusionOf(parties: Parties, person: string): 'requester' | 'earlier-approvers' | 'person' | 'asker' | undefined {
  const { policy, requester, askedBy, earlierApprovers = [] } = parties;
  if (person === askedBy) return 'asker';
  if (policy.exclude.includes('requester') && person === requester) return 'requester';
  if (policy.exclude.includes('earlier-approvers') && earlierApprovers.includes(person)) return 'earlier-approvers';
  return policy.exclude.includes(person) ? 'person' : undefined;
}

/** The groups of a policy that a person belongs to, as far as they may sign now. */
export function groupsOf(parties: Parties, person: string): string[] {
  const { policy, escalatedAt } = parties;
  const named = groupsNamedBy(policy).filter(
    (group) => group !== policy.escalate?.to || escalatedAt !== undefined || isAskedOf(policy, group),
  );
  return named.filter((group) => peopleOf(parties, group).includes(person));
}

/** How many different people must reject for a hold to close. */
export function rejectionsNeeded({ deny }: Policy): number {
  return Math.max(deny ?? 1, 1);
}

/**
 * How far approvals meet a policy: whether there is a way to meet it in which each of them fills one place at most. Whether they are
 * signed, of this hold, and count at this moment, is for others to say.
 */
export function fulfilmentOf(parties: Parties, approvals: readonly Approval[]): Fulfilment {
  const alternatives = alternativesOf(parties.policy);
  const claims = claimsOf(parties, approvals);
  const ways = slotsOf(parties).map((slots, index) => ({ alternative: alternatives[index]!, slots, assignment: assign(claims, slots) }));
  const missing = Math.min(...ways.map(({ assignment }) => assignment.missing));
  const best = ways.filter(({ assignment }) => assignment.missing === missing);
  const counted = best[0]!.assignment.filled.flatMap((people, slot) =>
    people.map((person) => ({ person, group: best[0]!.alternative[slot]!.of })),
  );
  const useful = new Set(
    best.flatMap(({ slots, assignment }) => assignment.open.flatMap(({ helpful }) => helpful.flatMap((slot) => [...slots[slot]!.people]))),
  );
  const used = new Set(claims.flatMap(({ signer, authority }) => [signer, authority]));
  const maySign = missing === 0 ? [] : [...new Set(parties.members)].filter((person) => useful.has(person) && !used.has(person));
  const words = best.map(({ alternative, assignment }) => missingInWords(alternative, assignment));
  return { missing, inWords: missing === 0 ? '' : [...new Set(words)].join(', or '), maySign, counted };
}

/** Whether approvals meet a policy. */
export function satisfied(parties: Parties, approvals: readonly Approval[]): boolean {
  return fulfilmentOf(parties, approvals).missing === 0;
}

/** Why a policy can never be met, as a sentence; undefined where it can. People that it escalates to count as well. */
export function shortfallOf(parties: Parties): string | undefined {
  const { policy, requester, askedBy } = parties;
  const everyone = { ...parties, escalatedAt: parties.escalatedAt ?? 'later' };
  const signers = signersOf(everyone);
  const { missing, inWords } = fulfilmentOf(
    everyone,
    signers.map((person) => ({ person })),
  );
  if (missing === 0) return undefined;
  const but = askedBy === undefined ? '' : `, as ${askedBy} has asked for it`;
  const isOne = groupRequirementsOf(policy).length === 1;
  const rest = isOne ? '' : ` If they all sign, ${inWords} ${missing === 1 ? 'is' : 'are'} missing.`;
  return (
    `Policy ${policy.name} asks for ${requirementInWords(policy)}, ` +
    `but only ${signers.length} of its people may sign for a run of ${requester}${but}.${rest}`
  );
}

/** The policy by which one other person signs, of those who could sign for the policy itself. */
export function secondPersonOf(policy: Policy): Policy {
  if (!partsOf(policy)) return { ...policy, atLeast: 1 };
  const { all: _all, any: _any, ...terms } = policy as PolicyTerms & { all?: Requirement[]; any?: Requirement[] };
  const groups = new Set(groupRequirementsOf(policy).map(({ of: group }) => group));
  return { any: [...groups].map((group) => ({ atLeast: 1, of: group })), ...terms };
}

/** Who must sign, as in `2 of sre and 1 of dba`. */
export function requirementInWords(requirement: Requirement): string {
  if ('all' in requirement) return requirement.all.map(inBrackets).join(' and ');
  if ('any' in requirement) return requirement.any.map(inBrackets).join(' or ');
  return `${requirement.atLeast} of ${requirement.of}`;
}

/** Who must sign and who does not count, as in `2 of sre, not the requester`. */
export function policyInWords(policy: Policy): string {
  const roles: Record<string, string | undefined> = { requester: 'the requester', 'earlier-approvers': 'earlier approvers' };
  const names = policy.exclude.map((word) => ownValue(roles, word) ?? word);
  return `${requirementInWords(policy)}${names.length > 0 ? `, not ${names.join(', ')}` : ''}`;
}

/** Every way to meet a requirement: the groups that must sign then, with how many people each. */
export function alternativesOf(requirement: Requirement): GroupRequirement[][] {
  if ('any' in requirement) return requirement.any.flatMap(alternativesOf);
  if (!('all' in requirement)) return [[requirement]];
  return requirement.all.reduce<GroupRequirement[][]>(
    (ways, part) => ways.flatMap((way) => alternativesOf(part).map((more) => [...way, ...more])),
    [[]],
  );
}

function partsOf(requirement: Requirement): Requirement[] | undefined {
  if ('all' in requirement) return requirement.all;
  return 'any' in requirement ? requirement.any : undefined;
}

function isRequirement(value: unknown, depth: number): value is Requirement {
  if (!isObject(value) || depth > requirementDepthMax) return false;
  const { all, any, atLeast, of: group } = value;
  const parts = all ?? any;
  if (parts === undefined) return typeof atLeast === 'number' && typeof group === 'string';
  const isOne = [all, any, atLeast, group].filter((given) => given !== undefined).length === 1;
  return isOne && Array.isArray(parts) && parts.every((part) => isRequirement(part, depth + 1));
}

function hasEmptyPart(requirement: Requirement): boolean {
  const parts = partsOf(requirement);
  return parts !== undefined && (parts.length === 0 || parts.some(hasEmptyPart));
}

function depthOf(requirement: Requirement): number {
  const parts = partsOf(requirement);
  return parts ? 1 + Math.max(0, ...parts.map(depthOf)) : 0;
}

/** How many ways there are, without making them. */
function waysOf(requirement: Requirement): number {
  if ('all' in requirement) return requirement.all.reduce((ways, part) => ways * waysOf(part), 1);
  return 'any' in requirement ? requirement.any.reduce((ways, part) => ways + waysOf(part), 0) : 1;
}

function signaturesOf(alternative: readonly GroupRequirement[]): number {
  return alternative.reduce((sum, leaf) => sum + placesOf(leaf), 0);
}

/** A policy that asks for nobody is a mistake, and a mistake must not release a hold. */
function placesOf({ atLeast }: GroupRequirement): number {
  return Math.max(atLeast, 1);
}

function isAskedOf(policy: Policy, group: string): boolean {
  return groupRequirementsOf(policy).some(({ of: asked }) => asked === group);
}

function peopleOf({ groups, members }: Parties, group: string): readonly string[] {
  return groups ? (ownValue(groups, group) ?? []) : members;
}

/** The places of each way to meet the policy, with the people who may fill them. */
function slotsOf(parties: Parties): { count: number; people: ReadonlySet<string> }[][] {
  const { policy, escalatedAt } = parties;
  const further = policy.escalate && escalatedAt !== undefined ? peopleOf(parties, policy.escalate.to) : [];
  return alternativesOf(policy).map((alternative) =>
    alternative.map((leaf) => {
      const people = [...peopleOf(parties, leaf.of), ...further].filter((person) => exclusionOf(parties, person) === undefined);
      return { count: placesOf(leaf), people: new Set(people) };
    }),
  );
}

/** Neither somebody who is excluded nor somebody in their place counts. */
function claimsOf(parties: Parties, approvals: readonly Approval[]): Claim[] {
  return approvals
    .filter(({ person }) => exclusionOf(parties, person) === undefined)
    .map(({ person, inPlaceOf }) => ({ signer: person, authority: inPlaceOf ?? person }));
}

function missingInWords(alternative: readonly GroupRequirement[], { open }: Assignment): string {
  const parts = open.map(({ empty, helpful }) => {
    const groups = [...new Set(helpful.map((slot) => alternative[slot]!.of))];
    return `${empty} signature${empty === 1 ? '' : 's'} of ${groups.join(' or ')}`;
  });
  return parts.join(' and ');
}

function inBrackets(requirement: Requirement): string {
  const words = requirementInWords(requirement);
  return (partsOf(requirement)?.length ?? 0) > 1 ? `(${words})` : words;
}
