import type { ExpressionType } from '../../domain/expression/expression.ts';
import type { CompiledRunbook } from '../../domain/runbook.ts';
import type { ActionDeclaration } from '../actions/declaration.ts';
import type { SourceMap } from '../grammar/document.ts';

/** What is known of a step before any of them is looked at closely. */
export interface StepOutline {
  id?: string;
  kind: 'action' | 'hold' | 'runbook';
  /** It has a condition. */
  conditional: boolean;
  /** It is carried out for each element of a list. */
  repeated: boolean;
  /** It may come to nothing: for its condition, or because its list may turn out empty. */
  mayBeNothing: boolean;
  /** What it uses, where that is known. */
  action?: ActionDeclaration;
  /** The runbook that it carries out, where that could be found. */
  nested?: DocumentOutline;
}

/** A document that has been looked at, and what matters of it to the documents that carry it out. */
export interface DocumentOutline {
  sourceMap: SourceMap;
  /** The kinds of target that it works on; undefined where that cannot be told. */
  worksOn?: string[];
  /** Missing where it has errors. */
  runbook?: CompiledRunbook;
  steps: StepOutline[];
  /** Whether there is a hold among its steps, or in a runbook that they carry out. */
  hasHold: boolean;
  /** Runbooks inside of one another below it. */
  height: number;
  /** Its steps, with those of the runbooks that they carry out, as often as they do. */
  stepCount: number;
  /** Its bytes, and theirs, in the same way. */
  bytes: number;
}

type Types = Record<string, ExpressionType>;

const refusals = {
  itself: { refusal: 'a step cannot refer to itself.' },
  hold: { refusal: 'a hold has no outputs.' },
  later: { refusal: 'the step comes later in the runbook; only outputs of earlier steps are known here.' },
  laterSpan: { refusal: 'the step belongs to the span of a later hold; its plan is not made yet.' },
  output: { refusal: 'is known only after the step has run; a question can refer to its plan.' },
  plan: { refusal: 'a plan can only be referred to by the question of the hold that it is signed at.' },
} satisfies Types;

/** What the expressions of the step at `index` can refer to, besides the element of its own list. */
export function typesForStep(outlines: StepOutline[], index: number, inputs: ExpressionType): Types {
  const types = outlines.map((outline, at) => {
    if (at === index) return refusals.itself;
    if (outline.kind === 'hold') return refusals.hold;
    return at < index ? typeOfOutputs(outline) : refusals.later;
  });
  return variablesOf(outlines, types, inputs);
}

/** What the question of the hold at `index` can refer to: it sees the plans of its span, even of those in other runbooks. */
export function typesForQuestion(outlines: StepOutline[], index: number, inputs: ExpressionType): Types {
  const span = { open: true };
  const types = outlines.map((outline, at) => {
    if (at === index) return refusals.itself;
    if (at > index) return typeOfPlan(outline, span);
    return outline.kind === 'hold' ? refusals.hold : typeOfOutputs(outline);
  });
  return variablesOf(outlines, types, inputs);
}

function variablesOf(outlines: StepOutline[], types: ExpressionType[], inputs: ExpressionType): Types {
  return { inputs, steps: { fields: byId(outlines, types) }, target: { type: 'string' } };
}

/** Where an id is taken twice, the first step has it. */
function byId(outlines: StepOutline[], types: ExpressionType[]): Types {
  const fields = new Map<string, ExpressionType>();
  for (const [index, { id }] of outlines.entries()) {
    const type = types[index];
    if (id !== undefined && type !== undefined && !fields.has(id)) fields.set(id, type);
  }
  return Object.fromEntries(fields);
}

/** The outputs of a step that has run. */
function typeOfOutputs(outline: StepOutline): ExpressionType {
  const { kind, action, nested, conditional: mayBeAbsent } = outline;
  if (kind === 'hold') return refusals.hold;
  if (outline.repeated) return { fields: fieldsOfList(outline), mayBeAbsent };
  if (kind === 'action') return action ? { fields: { ...action.outputs, plan: refusals.plan }, mayBeAbsent } : { mayBeAbsent };
  if (nested?.runbook === undefined) return { mayBeAbsent };
  return { fields: byId(nested.steps, nested.steps.map(typeOfOutputs)), mayBeAbsent };
}

/** A step over a list has what its elements have given, in their order. What one of them has is told where to be found. */
function fieldsOfList({ id = '', action, nested }: StepOutline): Types {
  const refusal = `the step has one for each element of its list; read it from steps${/-/.test(id) ? `["${id}"]` : `.${id}`}.items.`;
  const names = action ? [...Object.keys(action.outputs), 'plan'] : (nested?.steps ?? []).flatMap((step) => step.id ?? []);
  return { ...Object.fromEntries(names.map((name) => [name, { refusal }])), items: { type: 'list<dyn>' } };
}

/** The plan of a step that a question stands above. The span ends at the next hold, in whichever runbook that is. */
function typeOfPlan(outline: StepOutline, span: { open: boolean }): ExpressionType {
  const { kind, action, nested, conditional: mayBeAbsent } = outline;
  if (kind === 'hold') {
    span.open = false;
    return refusals.hold;
  }
  if (!span.open) return refusals.laterSpan;
  if (kind === 'action' && !outline.repeated) {
    if (action === undefined) return {};
    const outputs = Object.keys(action.outputs).map((name) => [name, refusals.output] as const);
    return { fields: { ...Object.fromEntries(outputs), plan: { fields: action.planFields } }, mayBeAbsent };
  }
  if (!outline.repeated && nested?.runbook !== undefined) {
    const types = nested.steps.map((step) => typeOfPlan(step, span));
    return { fields: byId(nested.steps, types), mayBeAbsent };
  }
  if (nested?.hasHold === true) span.open = false;
  return outline.repeated ? { fields: fieldsOfList(outline), mayBeAbsent } : { mayBeAbsent };
}

/** Warns of every step that changes what is in use without a hold above it: in its own runbook, or in those that carry it out. */
export function warnOfUnsignedChanges(started: DocumentOutline): void {
  warnOf(started, [], new Map());
}

/** Says whether there is a hold above whatever comes after the document. Each is walked once: what is signed needs no look. */
function warnOf(document: DocumentOutline, above: string[], walked: Map<DocumentOutline, boolean>): boolean {
  const known = walked.get(document);
  if (known !== undefined) return known;
  const { sourceMap, steps } = document;
  const where = above.length === 0 ? '' : `, neither here nor in ${above.join(' nor in ')}`;
  let signed = false;
  for (const [index, { kind, action, nested, mayBeNothing }] of steps.entries()) {
    if (kind === 'hold') signed = true;
    if (signed) break;
    if (nested && warnOf(nested, [sourceMap.file, ...above], walked) && !mayBeNothing) signed = true;
    if (!action || action.change === 'reads' || action.change === 'adds') continue;
    const does = action.change === 'destroys' ? 'takes away for good what is there' : 'changes what is in use';
    const message = `${action.name} ${does}, but there is no hold above it${where}`;
    sourceMap.warning(['steps', index], `${message}: only the person who starts the run signs it.`);
  }
  walked.set(document, signed);
  return signed;
}
