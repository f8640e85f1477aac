import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunbookDocument } from '../../domain/runbook.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { readRunbook } from '../../runbooks/library.ts';
import { documentOf, startEngine, untilTrue, type Engine, type Site } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('composition');
});
afterAll(() => engine.stop());

const operate = (target: string, command: Parameters<Engine['holdpoint']['operate']>[1]) =>
  engine.holdpoint.operate(target, command, 'because', engine.keys.dana);

async function started(document: RunbookDocument, prepare: (site: Site) => void = () => undefined) {
  const { cluster, target, site } = engine.newSite();
  prepare(site);
  const { run, admission } = await engine.begin(cluster, document);
  expect(admission).toEqual({ admitted: true });
  return { run, target, site };
}

const shown = (steps: { id: string; status: string }[]): string[] => steps.map(({ id, status }) => `${id} ${status}`);

const eachNode = (concurrency = 1) =>
  documentOf(`
  - { id: sign, hold: one, question: 'Drain \${steps.drain.items.size()} nodes?' }
  - id: drain
    uses: kubernetes.drain
    forEach: [n-1, n-2, n-3, n-4]
    as: node
    concurrency: ${concurrency}
    with: { nodes: ['\${node}'] }
  - { id: after, uses: kubernetes.cordon, with: { nodes: '\${steps.drain.items.map(item, item.nodes[0])}' } }`);

describe('forEach', () => {
  test('is planned, signed and carried out element by element', async () => {
    const { run, target, site } = await started(eachNode());
    const { hold } = await engine.until(target, 'holding');
    expect(hold?.request.question).toBe('Drain 4 nodes?');
    expect(hold?.plan.steps.map(({ id }) => id)).toEqual(['drain[n-1]', 'drain[n-2]', 'drain[n-3]', 'drain[n-4]', 'after']);
    await engine.decide(target, 'ada');
    const { steps } = await engine.until(target, 'done');
    expect(site.drained).toEqual(['n-1', 'n-2', 'n-3', 'n-4']);
    expect(shown(steps)).toEqual([
      'sign done',
      'drain done',
      'drain[n-1] done',
      'drain[n-2] done',
      'drain[n-3] done',
      'drain[n-4] done',
      'after done',
    ]);
    expect(steps[1]).toMatchObject({ kind: 'group', summary: '4 of 4' });
    await engine.verifiedKinds(run);
    await engine.replay(target, { name: 'for-each' });
  });

  test('goes as many at a time as it may, and no more', async () => {
    const { target, site } = await started(eachNode(2), (site) => ['n-1', 'n-2', 'n-3', 'n-4'].forEach((node) => site.slow.add(node)));
    await engine.decide(target, 'ada');
    await untilTrue(() => site.marks.size === 2);
    expect([...site.marks.keys()].sort()).toEqual(['n-1', 'n-2']);
    await untilTrue(async () => Object.keys((await engine.holdpoint.live(target)).progress).length === 2);
    expect((await engine.holdpoint.live(target)).progress).toMatchObject({
      'drain[n-1]': { summary: 'draining n-1' },
      'drain[n-2]': { summary: 'draining n-2' },
    });
    site.finishSlow();
    await engine.until(target, 'done');
    expect([...site.drained].sort()).toEqual(['n-1', 'n-2', 'n-3', 'n-4']);
  });

  test.each([1, 2])('that fails at an element leaves the rest untouched and says so (%i at a time)', async (concurrency) => {
    const failure = new HoldpointError('action-stuck', { cause: 'n-2 does not answer.', remedy: 'Mend it.' });
    const { target, site } = await started(eachNode(concurrency), (site) => {
      site.drainFailures.set('n-2', failure);
      // Side by side the first must not end before the second has failed: the third would begin by right.
      if (concurrency > 1) site.slow.add('n-1');
    });
    await engine.decide(target, 'ada');
    if (concurrency > 1) await untilTrue(() => site.failed.has('n-2') && site.marks.has('n-1'));
    site.finishSlow();
    const { stuck, steps } = await engine.until(target, 'stuck');
    expect(stuck).toMatchObject({ step: 'drain[n-2]', reason: 'n-2 does not answer. 2 more of its list have not been touched.' });
    expect(site.drained).toEqual(['n-1']);
    expect(shown(steps).slice(1)).toEqual([
      'drain stuck',
      'drain[n-1] done',
      'drain[n-2] stuck',
      'drain[n-3] waiting',
      'drain[n-4] waiting',
      'after waiting',
    ]);
    site.drainFailures.clear();
    await operate(target, 'retry');
    await engine.until(target, 'done');
    // Which of two side by side ends first, nobody promises.
    expect(concurrency > 1 ? [...site.drained].sort() : site.drained).toEqual(['n-1', 'n-2', 'n-3', 'n-4']);
  });

  test('is undone element by element, the last one first', async () => {
    const failure = new HoldpointError('action-stuck', { cause: 'n-3 does not answer.', remedy: 'Mend it.' });
    const { target, site } = await started(eachNode(), (site) => site.drainFailures.set('n-3', failure));
    await engine.decide(target, 'ada');
    await engine.until(target, 'stuck');
    await operate(target, 'undo');
    await engine.decide(target, 'linus');
    const { steps } = await engine.until(target, 'undone');
    expect(site.undone).toEqual(['n-2', 'n-1']);
    expect(shown(steps).slice(1, 6)).toEqual([
      'drain undone',
      'drain[n-1] undone',
      'drain[n-2] undone',
      'drain[n-3] undone',
      'drain[n-4] waiting',
    ]);
  });

  test('is paused and aborted between its elements', async () => {
    const { target, site } = await started(eachNode(2), (site) => ['n-1', 'n-2'].forEach((node) => site.slow.add(node)));
    await engine.decide(target, 'ada');
    await untilTrue(() => site.marks.size === 2);
    await operate(target, 'pause');
    await engine.until(target, 'paused');
    expect([...site.drained].sort()).toEqual(['n-1', 'n-2']);
    await operate(target, 'abort');
    const { ended } = await engine.until(target, 'aborted');
    expect(ended?.leftovers).toHaveLength(2);
    expect(site.marks.size).toBe(0);
  });

  test.each([
    ['nothing in the list', '${[inputs.cluster].filter(name, name == "no")}', undefined],
    ['an element twice', '${[inputs.cluster, inputs.cluster]}', /the list has .* twice/],
  ])('with %s', async (_what, list, blocked) => {
    const document = documentOf(`
  - { id: drain, uses: kubernetes.drain, forEach: '${list}', with: { nodes: ['\${item}'] } }`);
    const { cluster, target, site } = engine.newSite();
    const { admission } = await engine.begin(cluster, document);
    if (blocked) expect(admission).toMatchObject({ admitted: false, code: 'plan-blocked', reason: expect.stringMatching(blocked) });
    else await engine.until(target, 'done');
    expect(site.drained).toEqual([]);
  });
});

const child = documentOf(`
  - { id: look, uses: eks.preflight }
  - { id: drain, uses: kubernetes.drain, with: { nodes: ['\${inputs.node}'] } }
  - { id: sign-more, hold: one, question: 'More on \${inputs.node}?' }
  - { id: more, uses: kubernetes.drain, with: { nodes: ['more-\${inputs.node}'] } }`).text.replace(
  'required: [cluster]\n  properties: {',
  'required: [cluster, node]\n  properties: { node: { type: string },',
);

function parentOf(steps: string): RunbookDocument {
  return {
    ...documentOf(steps),
    runbooks: { './child.yaml': { file: 'child.yaml', text: child }, 'child.yaml': { file: 'child.yaml', text: child } },
  };
}

describe('runbook', () => {
  test('is carried out within the run: its holds, plan, states and record are the run’s', async () => {
    const { run, target, site } = await started(
      parentOf(`
  - { id: sign, hold: one }
  - { id: part, runbook: ./child.yaml, with: { cluster: '\${inputs.cluster}', node: x } }
  - { id: end, uses: kubernetes.drain, with: { nodes: ['end-\${steps.part.drain.nodes[0]}'] } }`),
    );
    const first = await engine.until(target, 'holding');
    expect(first.hold?.plan.steps.map(({ id }) => id)).toEqual(['part/look', 'part/drain']);
    await engine.decide(target, 'ada');
    const second = await engine.until(target, ({ hold }) => hold?.request.hold === 'part/sign-more');
    expect(second.hold?.request.question).toBe('More on x?');
    expect(second.hold?.plan.steps.map(({ id }) => id)).toEqual(['part/more', 'end']);
    await engine.decide(target, 'grace');
    const { steps } = await engine.until(target, 'done');
    expect(site.drained).toEqual(['x', 'more-x', 'end-x']);
    expect(shown(steps)).toEqual([
      'sign done',
      'part done',
      'part/look done',
      'part/drain done',
      'part/sign-more done',
      'part/more done',
      'end done',
    ]);
    await engine.verifiedKinds(run);
    await engine.replay(target, { name: 'nested-runbook' });
  });

  test('goes over a list, each with its own holds, and is undone as one', async () => {
    const { target, site } = await started(
      parentOf(`
  - { id: sign, hold: one }
  - { id: each, runbook: ./child.yaml, forEach: [x, y], as: name, with: { cluster: '\${inputs.cluster}', node: '\${name}' } }`),
    );
    for (const hold of ['sign', 'each[x]/sign-more', 'each[y]/sign-more']) {
      await engine.until(target, (state) => state.hold?.request.hold === hold);
      if (hold !== 'each[y]/sign-more') await engine.decide(target, 'ada');
    }
    expect(site.drained).toEqual(['x', 'more-x', 'y']);
    await operate(target, 'undo');
    await engine.decide(target, 'linus');
    await engine.until(target, 'undone');
    expect(site.undone).toEqual(['y', 'more-x', 'x']);
  });

  test('blocks the plan where its inputs do not fit', async () => {
    const { cluster, site } = engine.newSite();
    const document = parentOf(`
  - { id: part, runbook: ./child.yaml, with: { cluster: other, node: x } }`);
    const { admission } = await engine.begin(cluster, document);
    expect(admission).toMatchObject({ admitted: false, code: 'plan-blocked', reason: expect.stringContaining('step part') });
    expect(site.drained).toEqual([]);
  });
});

test('a run goes on with the documents that it was started with, whatever becomes of the files', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-composition-'));
  const parent = parentOf(`
  - { id: sign, hold: one }
  - { id: part, runbook: ./child.yaml, with: { cluster: '\${inputs.cluster}', node: x } }`);
  const files = { parent: join(directory, 'parent.yaml'), child: join(directory, 'child.yaml') };
  await writeFile(files.parent, parent.text);
  await writeFile(files.child, child);
  const { target, site } = await started(readRunbook(files.parent));
  const before = await engine.until(target, 'holding');
  await writeFile(files.child, child.replaceAll('kubernetes.drain', 'kubernetes.cordon'));
  expect((await engine.holdpoint.plan(readRunbook(files.parent), before.inputs)).runbook.digest).not.toBe(before.runbook.digest);
  await engine.decide(target, 'ada');
  await engine.until(target, ({ hold }) => hold?.request.hold === 'part/sign-more');
  await engine.decide(target, 'ada');
  expect((await engine.until(target, 'done')).runbook).toEqual(before.runbook);
  expect(site.drained).toEqual(['x', 'more-x']);
  await rm(directory, { recursive: true });
});

test('if leaves out a step, a list and a runbook', async () => {
  const { target, site } = await started(
    parentOf(`
  - { id: one, uses: kubernetes.drain, if: 'inputs.cluster == "no"', with: { nodes: [one] } }
  - { id: list, uses: kubernetes.drain, if: 'inputs.cluster == "no"', forEach: [a, b], with: { nodes: ['\${item}'] } }
  - { id: part, runbook: ./child.yaml, if: 'inputs.cluster == "no"', with: { cluster: '\${inputs.cluster}', node: x } }
  - { id: last, uses: kubernetes.drain, with: { nodes: [last] } }`),
  );
  const { steps } = await engine.until(target, 'done');
  expect(site.drained).toEqual(['last']);
  expect(
    steps
      .filter(({ status }) => status === 'skipped')
      .map(({ id }) => id)
      .filter((id) => !id.includes('/')),
  ).toEqual(['one', 'list', 'part']);
});
