import type { Policy } from '../../domain/approval/policy.ts';
import { judge, type Rule, type RuleBook } from '../../domain/approval/rules.ts';
import { expressionsIn } from '../../domain/expression/expression.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { ActionStep, CompiledRunbook } from '../../domain/runbook.ts';
import type { DocumentOutline } from './outline.ts';

/**
 * Warns of every step that the rules of a configuration will not let be carried out. Where an expression decides on the target, a rule
 * for some targets may come to count or not: what it asks for is not told then, and what it allows is taken for allowed.
 */
export function warnOfRules(started: DocumentOutline, book: RuleBook): void {
  if (started.runbook === undefined) return;
  const { target } = started.runbook;
  const isKnown = expressionsIn(target).length === 0;
  const rules = isKnown ? book.rules : book.rules?.flatMap(ruleForAnyTarget);
  warnOf(started, started.runbook, undefined, { target: isKnown ? target : 'its target', book: { ...book, rules } });
}

/**
 * The places of the rules that `warnOfRules` cannot look at, as an expression decides on the target and they are for some targets only:
 * what they ask for is told when a run is planned.
 */
export function rulesOfUnknownTargets({ target }: CompiledRunbook, { rules = [] }: Pick<RuleBook, 'rules'>): string[] {
  if (expressionsIn(target).length === 0) return [];
  return rules.flatMap(({ targets }, index) => (targets === undefined ? [] : [`rules[${index}]`]));
}

function ruleForAnyTarget(rule: Rule): Rule[] {
  if (rule.targets === undefined) return [rule];
  // It asks for nothing here, but keeps its place among the rules.
  return [{ changes: rule.changes, start: rule.start }];
}

interface Circumstances {
  target: string;
  book: RuleBook;
}

/** Gives the policy of the last hold above whatever comes after the document. */
function warnOf(
  { sourceMap, steps: outlines }: DocumentOutline,
  runbook: CompiledRunbook,
  above: Policy | undefined,
  circumstances: Circumstances,
): Policy | undefined {
  const { target, book } = circumstances;
  let policy = above;
  for (const [index, step] of runbook.steps.entries()) {
    if (step.kind === 'hold') {
      // One that the configuration does not have has been reported.
      if (!Object.hasOwn(book.policies, step.policy)) return undefined;
      policy = book.policies[step.policy];
      continue;
    }
    if (step.kind === 'runbook') {
      const { nested, mayBeNothing } = outlines[index]!;
      const after = nested && warnOf(nested, step.runbook, policy, circumstances);
      if (!mayBeNothing) policy = after;
      continue;
    }
    for (const { rule, reason, remedy } of judge(book, { target, policy, steps: [judgedStepOf(step)] })) {
      sourceMap.warning(['steps', index], `Will be refused by \`${rule}\` of the configuration: ${reason} ${remedy}`);
    }
  }
  return policy;
}

function judgedStepOf({ id, uses, change, with: given }: ActionStep): Parameters<typeof judge>[1]['steps'][number] {
  const settings: JsonObject = Object.fromEntries(Object.entries(given).filter(([, value]) => isWritten(value)));
  return { id, uses, change, settings };
}

function isWritten(value: Json): boolean {
  return typeof value !== 'string' || expressionsIn(value).length === 0;
}
