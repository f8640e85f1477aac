import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Json } from '../../domain/json.ts';
import { planWorkflow, runWorkflow, sweepWorkflow, type RunInput } from '../../workflows/messages.ts';
import { Random } from '../../sandbox/random.ts';
import { runbookOf, startEngine, untilTrue, workAtOnce, type Engine, type Site } from '../support/engine.ts';
import { isExhaustive } from '../support/exhaustive.ts';
import { startStranger, type Stranger } from './stranger.ts';

const seeds = isExhaustive ? 50 : 20;
/** Runs that wait for their signatures while so many seeds are sent. */
const seedsPerRun = 10;
const messagesPerSeed = 8;

let engine: Engine;
let stranger: Stranger;
beforeAll(async () => {
  engine = await startEngine('fuzzer');
  stranger = await startStranger(engine.client, engine.settings);
});
afterAll(async () => {
  await stranger.stop();
  await engine.stop();
});

/** What a stranger can know and say: genuine messages of somebody else, and their parts. */
interface Known {
  target: string;
  cluster: string;
  run: string;
  input: RunInput;
}

/** A value of chance, or one of the words that the product itself uses. */
function anything(random: Random, known: Known, depth = 0): Json {
  const words = [
    known.run,
    known.target,
    'dana',
    'ada',
    'sign',
    'work',
    'approve',
    'abort',
    'kubernetes.cordon',
    'node-first',
    '',
    '__proto__',
  ];
  const kinds: (() => Json)[] = [
    () => words[random.below(words.length)] ?? '',
    () => random.below(10) - 1,
    () => random.below(2) === 0,
    () => null,
    () => 'x'.repeat(random.below(2_000)),
    () => Array.from({ length: random.below(3) }, () => anything(random, known, depth + 1)),
    () => Object.fromEntries(Array.from({ length: random.below(4) }, (_, at) => [words[at + 1] ?? '', anything(random, known, depth + 1)])),
  ];
  return kinds[random.below(depth > 2 ? 5 : kinds.length)]?.() ?? null;
}

/** The same with one of its parts, or itself, made something else. */
function mutated(value: Json, random: Random, known: Known): Json {
  if (random.below(4) === 0 || value === null || typeof value !== 'object') return anything(random, known);
  if (Array.isArray(value)) {
    const at = random.below(value.length || 1);
    return value.map((item, index) => (index === at ? mutated(item, random, known) : item));
  }
  const names = Object.keys(value);
  const name = names[random.below(names.length || 1)] ?? 'x';
  return { ...value, [name]: mutated(value[name] ?? null, random, known) };
}

const json = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

/** One message of a stranger. What is answered does not matter: that something is. */
async function send(random: Random, known: Known, others: Set<string>): Promise<void> {
  const { client, settings } = engine;
  const handle = (id: string): ReturnType<Engine['handle']> => engine.handle(id);
  const { target, run, input } = known;
  const [kind = '', region = '', name = ''] = target.split('/');
  const context = { run, step: 'work', target: { kind, region, name }, retry: 0 };
  const claims = {
    run,
    hold: 'sign',
    request: 1,
    planHash: input.planHash,
    question: '',
    decision: 'approve',
    reason: '',
    person: 'ada',
    signature: 'a.b.c',
  };
  const ways: (() => Promise<unknown>)[] = [
    async () => {
      const type = [runWorkflow, runWorkflow, planWorkflow, sweepWorkflow][random.below(4)] ?? '';
      const own = { ...input, run: random.below(2) === 0 ? run : `r-${randomUUID()}` };
      const args = [mutated(json(own), random, known), ...(random.below(2) === 0 ? [anything(random, known)] : [])];
      const workflowId = random.below(4) === 0 ? target : `eks/eu-central-1/${known.cluster}-${randomUUID()}`;
      await client.workflow.start(type, { workflowId, taskQueue: settings.taskQueue, args });
      if (workflowId !== target) others.add(workflowId);
    },
    () =>
      handle(target).executeUpdate(['decide', 'command', 'admission', 'anything'][random.below(4)] ?? '', {
        args: [mutated(claims, random, known)],
      }),
    () =>
      handle(target).signal(
        random.below(2) === 0 ? 'attemptRefused' : 'anything',
        mutated({ person: 'ada', attempt: 'start', code: 'x', reason: '' }, random, known),
      ),
    () => handle(target).query('state', anything(random, known)),
    () => {
      const requests: [string, Json][] = [
        ['perform', { context }],
        [
          'record',
          {
            run,
            sequence: 1 + random.below(9),
            entries: [{ kind: 'hold.released', body: { hold: 'sign', request: 1, planHash: input.planHash } }],
          },
        ],
        ['release', { target: context.target, run }],
        ['planSpan', { base: {}, queue: [], results: {} }],
        ['verifySignature', { expected: { ...claims, kind: 'decision' }, signature: 'a.b.c' }],
        ['liftOwnerAnnotations', { target, annotations: [{ node: 'node-first', run }] }],
      ];
      const [activity = '', request = null] = requests[random.below(requests.length)] ?? [];
      return stranger.order([{ activity, request: random.below(3) === 0 ? request : mutated(request, random, known) }], {
        workflowType: random.below(2) === 0 ? runWorkflow : 'stranger',
      });
    },
  ];
  await ways[random.below(ways.length)]?.();
}

async function waitingRun(): Promise<Known & { site: Site }> {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf());
  const { hold, inputs, requester } = await engine.until(target, 'holding');
  const input = { run, target, document: workAtOnce, inputs, requester, planHash: hold?.request.planHash ?? '', signature: 'a.b.c' };
  return { cluster, target, site, run, input };
}

test(`${seeds} seeds of whatever a stranger sends have nothing done, no record spoilt and no run lost`, async () => {
  const begun: { run: string; target: string; site: Site }[] = [];
  const others = new Set<string>();
  for (let first = 0; first < seeds; first += seedsPerRun) {
    const known = await waitingRun();
    begun.push(known);
    for (let seed = first; seed < first + seedsPerRun; seed += 1) {
      const random = new Random(seed);
      const messages = Array.from({ length: messagesPerSeed }, (_, index) => random.stream(`message ${index}`));
      const sent = await Promise.allSettled(messages.map((own) => send(own, known, others)));
      for (const answer of sent) if (answer.status === 'rejected') expect(answer.reason).toBeInstanceOf(Error);
    }
    expect({ seeds: first, done: known.site.done, marks: known.site.marks.size }).toEqual({ seeds: first, done: [], marks: 0 });
    await engine.decide(known.target, 'ada');
  }
  for (const { run, target, site } of begun) {
    await engine.until(target, 'done');
    expect(site.done).toEqual(['first', 'second', 'third']);
    expect((await engine.verifiedKinds(run)).at(-1)).toBe('run.ended');
  }
  // What was started under other names has ended by itself, and has left no record but of how it was refused.
  const left = new Set(others);
  await untilTrue(async () => {
    for (const id of left) if ((await engine.handle(id).describe()).status.name !== 'RUNNING') left.delete(id);
    return left.size === 0;
  }).catch(async (error: unknown) => {
    const what = [...left].slice(0, 3).map(async (id) => {
      const { type } = await engine.handle(id).describe();
      const { events } = await engine.handle(id).fetchHistory();
      const failed = (events ?? []).flatMap(
        ({ workflowTaskFailedEventAttributes }) => workflowTaskFailedEventAttributes?.failure?.message ?? [],
      );
      const input = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.map(({ data }) =>
        Buffer.from(data ?? []).toString(),
      );
      return { id, type, failed, input: JSON.stringify(input).slice(0, 1_000) };
    });
    throw new Error(`${left.size} of ${others.size} have not ended: ${JSON.stringify(await Promise.all(what))}`, { cause: error });
  });
  const records = await readdir(dirname(engine.evidence.pathOf('r-1')));
  for (const run of records.filter((name) => name.startsWith('r-'))) await engine.verifiedKinds(run);
}, 300_000);
