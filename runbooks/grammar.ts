import { z } from 'zod';
import { expressionLengthMax } from '../domain/expression.ts';

/** Steps of one runbook. */
export const stepsMax = 200;
const idPattern = /^[a-z][a-z0-9-]*$/;
const idMessage = 'must begin with a small letter and go on with small letters, digits and `-`';

/** The one version of the documents that is understood. */
export const apiVersion = 'holdpoint.dev/v1';

/** Keys that belong to the language but are not carried out yet, each with the sentence that refuses it. */
export const keysNotSupported = new Map(
  ['forEach', 'as', 'runbook', 'window', 'timeout'].map((key) => [key, `\`${key}\` is not supported by this version; take it out.`]),
);

const id = z
  .string()
  .max(63)
  .regex(idPattern, idMessage)
  .describe('Name of the step within the runbook. Expressions read `steps.drain`, and `steps["sign-drain"]` where it has a "-".');

const undoNotSupported = '`onFailure: undo` is not supported by this version; take it out.';

/** A step that carries out an action. */
export const actionStepGrammar = z.strictObject({
  id,
  title: z.string().min(1).max(200).describe('What the step does, for people.').optional(),
  uses: z.string().describe('The action, for example kubernetes.drain.'),
  with: z
    .looseObject({})
    .describe('Input of the action. Any value may be an expression: `${inputs.nodegroup}`. A value that is absent is left out.')
    .optional(),
  if: z
    .string()
    .max(expressionLengthMax)
    .describe('CEL expression; the step is left out where it is false. Written without ${ }.')
    .optional(),
  onFailure: z
    .enum(['stuck'], { error: (issue) => (issue.input === 'undo' ? undoNotSupported : undefined) })
    .describe('What follows from a failure: the run waits for an operator (stuck).')
    .optional(),
});

/** A stop for people. */
export const holdStepGrammar = z.strictObject({
  id,
  hold: z.string().min(1).describe('Name of the approval policy in holdpoint.yaml. People sign the plan of all steps up to the next hold.'),
  question: z
    .string()
    .min(1)
    .max(1000)
    .describe('The question that is put to the approvers; may refer to `${steps.<id>.plan.…}` of the steps up to the next hold.')
    .optional(),
});

const head = {
  apiVersion: z.literal(apiVersion).describe('Version of the language.'),
  kind: z.literal('Runbook').describe('What the document is.'),
  metadata: z
    .strictObject({
      name: z
        .string()
        .max(63)
        .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'must be a DNS label: small letters, digits and `-`')
        .describe('Name of the runbook, a DNS label.'),
      title: z.string().min(1).max(200).describe('What the runbook does, in a few words.'),
      description: z.string().max(4000).describe('What an operator should know before starting it.').optional(),
    })
    .describe('What the runbook is called.'),
  inputs: z.looseObject({}).describe('JSON Schema (draft 7) of the inputs, `type: object`.').optional(),
  target: z.string().min(1).max(500).describe('What is maintained: eks/<region>/<cluster>, with expressions over the inputs.'),
};

/** A runbook as far as it can be checked before its steps are: they are checked one by one, each against its own kind. */
export const runbookHeadGrammar = z.strictObject({ ...head, steps: z.array(z.looseObject({})).min(1).max(stepsMax) });

/** The whole language of runbooks. */
export const runbookGrammar = z.strictObject({
  ...head,
  steps: z
    .array(z.union([actionStepGrammar, holdStepGrammar]))
    .min(1)
    .max(stepsMax)
    .describe('Carried out in the order in which they are written.'),
});
