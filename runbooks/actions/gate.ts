import * as z from 'zod';
import { parseDurationMs } from '../configuration/duration.ts';
import { declareAction, hourMs, minuteMs, type SystemDeclaration } from './declaration.ts';

const dayMs = 24 * hourMs;
/** Alarms that one gate may name: what CloudWatch takes at once. */
const alarmsMax = 100;
/** Queries that are asked at each look of a bake. */
const queriesMax = 20;

const duration = (leastMs: number, mostMs: number) =>
  z
    .string()
    .refine((text) => (parseDurationMs(text) ?? -1) >= leastMs, { error: 'must be a duration such as 90s, 15m or 4h' })
    .refine((text) => (parseDurationMs(text) ?? 0) <= mostMs, { error: `must be ${mostMs / hourMs} hours at most` });

/** Items of one checklist. */
const itemsMax = 30;

const endpoint = z.string().min(1).max(63).describe('Name of an endpoint in `endpoints` of holdpoint.yaml.');
const time = {
  holdsFor: duration(0, 12 * hourMs)
    .default('0s')
    .describe('For how long it must hold without a break: 90s, 15m; one look is enough if left out.'),
  deadline: duration(1, 12 * hourMs)
    .default('15m')
    .describe('How long it may take until that is so; then the step is stuck. 15m if left out.'),
};
const condition = {
  above: z.number().describe('It holds where the value is above this.').optional(),
  below: z.number().describe('It holds where the value is below this.').optional(),
  equals: z
    .union([z.number(), z.string().max(1000), z.boolean()])
    .describe('It holds where the value is this.')
    .optional(),
};

const oneOfThem = 'give exactly one of above, below and equals';

/** A value is above something, or below, or equal to it: without a condition, or with two, nobody knows what a gate waits for. */
function oneCondition({ above, below, equals }: { above?: unknown; below?: unknown; equals?: unknown }): string | undefined {
  const given = [above, below, equals].filter((one) => one !== undefined).length;
  return given === 1 ? undefined : oneOfThem;
}

/** Looks come no more often, and no more seldom, than this. */
const pace = { lookMinMs: 5_000, lookMaxMs: 15_000 };
const limits = { timeoutMs: dayMs + 10 * minuteMs, pace };

const queryGrammar = {
  endpoint,
  query: z.string().min(1).max(4000).describe('PromQL; it is asked for its value of now.'),
  above: condition.above,
  below: condition.below,
  equals: z.number().describe('It holds where the value is this.').optional(),
};
const alarmName = z.string().min(1).max(255);

/** Alarms of CloudWatch by their names: all of them have to be OK. */
export const alarmNames = z.array(alarmName).max(alarmsMax);
/** Queries of PromQL, each with what its values have to be. */
export const queries = z
  .array(z.strictObject(queryGrammar).refine((query) => oneCondition(query) === undefined, { error: oneOfThem }))
  .max(queriesMax);

const prometheus = declareAction({
  name: 'gate.prometheus',
  summary: 'Waits until every value of a PromQL query is as it has to be; no value at all keeps the gate shut.',
  input: z.strictObject({
    ...queryGrammar,
    ...time,
  }),
  conflict: oneCondition,
  change: 'reads',
  limits,
  outputs: {},
});

const http = declareAction({
  name: 'gate.http',
  summary: 'Waits until an address answers with a status and, where that is asked for, a field of its JSON is as it has to be.',
  input: z.strictObject({
    endpoint,
    path: z
      .string()
      .max(2000)
      .regex(/^\/(?!\/)[!-~]*$/, 'must begin with one `/` and have no spaces')
      .describe('What follows the address of the endpoint; nothing if left out.')
      .optional(),
    status: z.int().min(200).max(599).default(200).describe('The status that it must answer with; 200 if left out.'),
    field: z
      .string()
      .regex(/^[\w-]+(\.[\w-]+){0,9}$/, 'must be names and numbers with dots between them, such as `checks.0.status`')
      .describe('A field of the JSON that it answers with, such as `status.phase`; it needs one of above, below and equals.')
      .optional(),
    ...condition,
    ...time,
  }),
  conflict: ({ field, ...conditions }) => {
    if (field !== undefined) return oneCondition(conditions);
    const isGiven = [conditions.above, conditions.below, conditions.equals].some((one) => one !== undefined);
    return isGiven ? 'above, below and equals speak of a field, so they need field' : undefined;
  },
  change: 'reads',
  limits,
  outputs: {},
});

const cloudwatchAlarms = declareAction({
  name: 'gate.cloudwatchAlarms',
  summary: 'Waits until CloudWatch alarms, also composite ones, are OK; one that is missing or has no data keeps the gate shut.',
  input: z.strictObject({
    names: alarmNames.min(1).describe('Names of the alarms; or prefix.').optional(),
    prefix: z.string().min(1).max(255).describe('What the names of the alarms begin with; or names.').optional(),
    region: z
      .string()
      .regex(/^[a-z]{2,3}(-[a-z]+)+-\d{1,2}$/, 'must be a region such as eu-central-1')
      .describe('Region of the alarms; that of the target if left out.')
      .optional(),
    allowInsufficientData: z.boolean().default(false).describe('Let alarms without data pass.'),
    allowMissing: z.boolean().default(false).describe('Let names without an alarm pass.'),
    ...time,
  }),
  conflict: ({ names, prefix }) => ((names === undefined) === (prefix === undefined) ? 'give either names or prefix' : undefined),
  dangers: ({ allowInsufficientData, allowMissing }) => ({
    allowInsufficientData: allowInsufficientData ? 'an alarm without data counts as one that is OK' : undefined,
    allowMissing: allowMissing ? 'an alarm that is not there counts as one that is OK' : undefined,
  }),
  change: 'reads',
  limits,
  outputs: {},
});

const manualCheck = declareAction({
  name: 'gate.manualCheck',
  summary: 'Waits until a person says that each item of a checklist is so, and others sign that, item by item.',
  input: z.strictObject({
    items: z.array(z.string().min(1).max(500)).min(1).max(itemsMax).describe('What has to be checked by hand, one sentence each.'),
  }),
  change: 'reads',
  limits: { timeoutMs: minuteMs },
  outputs: {},
});

/** Gates: they look at the world and let a run pass only while it is as it has to be. They work on targets of every kind. */
export const gate = {
  name: 'gate',
  targets: [],
  actions: { 'gate.prometheus': prometheus, 'gate.http': http, 'gate.cloudwatchAlarms': cloudwatchAlarms, 'gate.manualCheck': manualCheck },
} as const satisfies SystemDeclaration;
