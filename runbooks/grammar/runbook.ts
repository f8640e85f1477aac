import * as z from 'zod';
import { expressionLengthMax } from '../../domain/expression/expression.ts';
import { elementsMax } from '../../domain/runbook.ts';
import { targetKinds } from '../targets.ts';
import { keyRefusal } from './document.ts';

/** Steps of one runbook, with those of the runbooks that it carries out. */
export const stepsMax = 200;
/** Runbooks inside of one another, below the one that is started. */
export const nestingMax = 3;
/** UTF-8 bytes of a runbook and of all that it carries out, each counted as often as a step names it: a run takes them with it. */
export const compositionBytesMax = 1024 * 1024;
/** Elements of one step that may be worked on at the same time. */
export const concurrencyMax = 100;
/** The name of a list's element where `as` gives none. */
export const elementNameDefault = 'item';
const idPattern = /^[a-z][a-z0-9-]*$/;
const idMessage = 'must begin with a small letter and go on with small letters, digits and `-`';

/** The one version of the documents that is understood. */
export const apiVersion = 'holdpoint.dev/v1';

/** Keys that belong to the language but are not carried out yet, each with the sentence that refuses it. */
export const keysNotSupported: ReadonlyMap<string, string> = new Map(
  ['timeout'].map((key) => [key, `\`${key}\` is not supported by this version; take it out.`]),
);

const repeatedHold = 'A hold stands once for all steps up to the next one; it is not repeated.';

/** Keys that a hold does not have, each with the sentence that refuses it. */
export const keysNotOfHolds: ReadonlyMap<string, string> = new Map([
  ...keysNotSupported,
  ['if', 'A hold is never left out; whether it is needed must not hang on an expression.'],
  ['forEach', repeatedHold],
  ['as', repeatedHold],
  ['concurrency', repeatedHold],
  ['onFailure', 'A hold does not fail; `onFailure` belongs to the steps with `uses`.'],
  ['atClose', 'A hold may be signed at any time; `atClose` belongs to the steps with `uses`.'],
]);

/** Keys that a step which carries out another runbook does not have, each with the sentence that refuses it. */
export const keysNotOfRunbookSteps: ReadonlyMap<string, string> = new Map([
  ...keysNotSupported,
  ['concurrency', 'Runbooks are carried out one after another; `concurrency` belongs to the steps with `uses`.'],
  ['onFailure', 'The steps of the other runbook say for themselves what follows from a failure; take it out.'],
  ['atClose', 'The steps of the other runbook say for themselves what becomes of them at the close; take it out.'],
]);

/** Steps and elements are looked up by their names in objects of JavaScript. */
const allowed = (name: string): boolean => keyRefusal(name) === undefined;
const allowedMessage = 'is a name that every object of JavaScript has; take another one';

const id = z
  .string()
  .max(63)
  .regex(idPattern, idMessage)
  .refine(allowed, allowedMessage)
  .describe('Name of the step within the runbook. Expressions read `steps.drain`, and `steps["sign-drain"]` where it has a "-".');

/** What stands on the screen of whoever signs, as one line of it. */
const oneLine = z
  .string()
  .min(1)
  .refine((text) => !/[\n\t]/.test(text.trimEnd()), { error: 'must be one line, without tabs' });

const title = oneLine.max(200).describe('What the step does, for people.').optional();

const condition = z
  .string()
  .max(expressionLengthMax)
  .describe('CEL expression, without ${ }; the step is left out where it is false. With `forEach` it is evaluated once, before the list.')
  .optional();

const oneExpression = /^\$\{/;

const listWanted = 'must be a list, or one expression that gives a list, such as ${inputs.nodes}';
const countWanted = 'must be a whole number, or one expression that gives one, such as ${inputs.nodesAtOnce}';

const repetition = {
  forEach: z
    .union([z.array(z.unknown()).min(1).max(elementsMax), z.string().regex(oneExpression, listWanted)], { error: listWanted })
    .describe('A list, or one expression that gives a list: the step is carried out for each of its elements, in their order.')
    .optional(),
  as: z
    .string()
    .max(63)
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a name of letters, digits and `_`, a digit not at the beginning')
    .refine(allowed, allowedMessage)
    .describe(`Name by which the expressions of \`with\` refer to the element; \`${elementNameDefault}\` if left out.`)
    .optional(),
};

/** A step that carries out an action. */
export const actionStepGrammar = z.strictObject({
  id,
  title,
  uses: z.string().describe('The action, for example kubernetes.drain.'),
  with: z
    .looseObject({})
    .describe('Input of the action. Any value may be an expression: `${inputs.nodegroup}`. A value that is absent is left out.')
    .optional(),
  if: condition,
  ...repetition,
  concurrency: z
    .union([z.int().min(1).max(concurrencyMax), z.string().regex(oneExpression, countWanted)], { error: countWanted })
    .describe('How many elements are worked on at the same time, or one expression that says it; 1 if left out.')
    .optional(),
  onFailure: z
    .enum(['stuck', 'undo'])
    .describe('What follows when the step cannot go on: the run waits for an operator (stuck), or rolls back automatically (undo).')
    .optional(),
  atClose: z
    .enum(['finish-step', 'undo', 'page'])
    .describe(
      'What follows when the window closes in mid-step: it is finished (`finish-step`, if left out), finished and people are told ' +
        '(`page`), or it is stopped, people are told, and the run rolls back automatically (`undo`).',
    )
    .optional(),
});

/** A step that carries out another runbook. */
export const runbookStepGrammar = z.strictObject({
  id,
  title,
  runbook: z
    .string()
    .min(1)
    .max(500)
    .regex(/^[^/\\][^\\]*$/, 'must be the name of a runbook, or a path relative to this file, such as ./other.yaml')
    .describe('Another runbook for the same target: the name of one that comes with Holdpoint, or a path such as ./other.yaml.'),
  with: z
    .looseObject({})
    .describe('Inputs of the other runbook. Any value may be an expression; one that is absent is left out.')
    .optional(),
  if: condition,
  ...repetition,
});

/** A stop for people. */
export const holdStepGrammar = z.strictObject({
  id,
  hold: z.string().min(1).describe('Name of the approval policy in holdpoint.yaml. People sign the plan of all steps up to the next hold.'),
  question: oneLine
    .max(1000)
    .describe('The question that is put to the approvers; may refer to `${steps.<id>.plan.…}` of the steps up to the next hold.')
    .optional(),
});

const kindsOfTarget = targetKinds.map(({ kind }) => kind);

/** How runbooks and schedules are named. */
export const documentName = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'must be a DNS label: small letters, digits and `-`');

const head = {
  apiVersion: z.literal(apiVersion).describe('Version of the language.'),
  kind: z.literal('Runbook').describe('What the document is.'),
  metadata: z
    .strictObject({
      name: documentName.describe('Name of the runbook, a DNS label.'),
      title: oneLine.max(200).describe('What the runbook does, in a few words.'),
      description: z.string().max(4000).describe('What an operator should know before starting it.').optional(),
    })
    .describe('What the runbook is called.'),
  inputs: z.looseObject({}).describe('JSON Schema (draft 7) of the inputs, `type: object`.').optional(),
  target: z
    .string()
    .min(1)
    .max(500)
    .describe('What is maintained: eks/<region>/<cluster> or kubernetes/<name>, with expressions over the inputs.'),
  worksOn: z
    .array(z.enum(kindsOfTarget))
    .min(1)
    .describe('The kinds of target that the runbook works on; can be left out where `target` begins with one.')
    .optional(),
  window: z
    .string()
    .min(1)
    .max(63)
    .describe('A calendar of holdpoint.yaml: steps begin only while it is open, and only if they are over before it closes.')
    .optional(),
};

/** A runbook as far as it can be checked before its steps are: they are checked one by one, each against its own kind. */
export const runbookHeadGrammar = z.strictObject({ ...head, steps: z.array(z.looseObject({})).min(1).max(stepsMax) });

/** The whole language of runbooks. */
export const runbookGrammar = z.strictObject({
  ...head,
  steps: z
    .array(z.union([actionStepGrammar, holdStepGrammar, runbookStepGrammar]))
    .min(1)
    .max(stepsMax)
    .describe('Carried out in the order in which they are written.'),
});
