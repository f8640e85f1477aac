import type { ExpressionType } from '../../domain/expression/expression.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { formOf, partsOf, TargetError, type TargetKind } from '../../domain/target.ts';
import type { Configuration } from '../configuration/configuration.ts';
import type { SourceMap } from '../grammar/document.ts';
import { findTargetKind, parseTarget, targetKinds, unreachableTarget } from '../targets.ts';
import { TemplateCheck, withoutExpressions } from './template.ts';

/** Stands for an expression, as no target contains it. */
const placeholder = '\0';

/** What the target of a document is checked with. */
interface TargetContext {
  inputs: ExpressionType;
  sourceMap: SourceMap;
  /** Whether the target can be reached is checked only where it is given. */
  configuration: Configuration | undefined;
}

/**
 * Checks `target` and `worksOn` of a document and gives the kinds of target that it works on: the one that `target` begins with, or
 * those of `worksOn` where an expression decides. Undefined where that cannot be told; the reason has been reported then.
 */
export function checkTarget({ target, worksOn }: JsonObject, context: TargetContext): string[] | undefined {
  if (typeof target !== 'string') return undefined;
  const { inputs, sourceMap } = context;
  const check = new TemplateCheck(sourceMap, { inputs });
  check.checkTemplate(target, ['target']);
  const said = kindsIn(worksOn);
  if (check.failed) return said;
  const text = withoutExpressions(target, placeholder);
  const first = text.split('/')[0] ?? '';
  if (first.includes(placeholder)) {
    if (worksOn === undefined) sourceMap.error(['target'], kindMissing());
    return said;
  }
  const kind = checkForm(text, context);
  if (kind === undefined) return undefined;
  const others = (said ?? []).filter((other) => other !== kind.kind);
  if (others.length > 0) sourceMap.error(['worksOn'], `The target is always of the kind ${kind.kind}; take out ${others.join(', ')}.`);
  return [kind.kind];
}

/** The kinds that `worksOn` names; those that there are not have been reported with its shape. */
function kindsIn(worksOn: Json | undefined): string[] | undefined {
  if (!Array.isArray(worksOn)) return undefined;
  const kinds = worksOn.filter((kind) => typeof kind === 'string' && findTargetKind(kind) !== undefined);
  return [...new Set(kinds as string[])];
}

function kindMissing(): string {
  const kinds = targetKinds.map(({ kind }) => kind).join(', ');
  return `Which kind of target it is, an expression decides: say in \`worksOn\` which ones the runbook works on, such as [${kinds}].`;
}

/** The kind of a target that begins with it. Examples of its parts stand for the expressions. */
function checkForm(text: string, { sourceMap, configuration }: TargetContext): TargetKind | undefined {
  const [kindName = '', ...values] = text.split('/');
  const kind = findTargetKind(kindName);
  const parts = kind ? partsOf(kind) : [];
  const example = [kindName, ...values.map((value, index) => value.replaceAll(placeholder, parts[index]?.example ?? ''))].join('/');
  try {
    const target = parseTarget(example);
    const unreachable = example === text && configuration !== undefined ? unreachableTarget(target, configuration) : undefined;
    if (unreachable) sourceMap.error(['target'], unreachable.cause);
    return kind;
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    const forms = (kind ? [kind] : targetKinds).map((possible) => `${formOf(possible)}, for example ${templateOf(possible)}`);
    sourceMap.error(['target'], `Must have the form ${forms.join('; or ')}.`);
    return undefined;
  }
}

function templateOf(kind: TargetKind): string {
  return [kind.kind, ...partsOf(kind).map(({ title }) => `\${inputs.${title}}`)].join('/');
}
