import { setTimeout as wait } from 'node:timers/promises';
import type { EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { Effect } from '../../domain/plan/plan.ts';
import type { RunState } from '../../domain/run/state.ts';
import type { DatabaseCluster } from '../../sandbox/rds/cluster.ts';
import { entriesOf } from './aftermath.ts';
import type { DatabaseOthers } from './database-others.ts';

const settleMaxMs = 60_000;
const settlePauseMs = 100;
const undoPrefix = 'undo:';
const failoverAction = 'rds.failover';
/** What they make stays, and changes nothing of the cluster. */
const additions = ['rds.takeSnapshot'];

/** By this tag a clone says of which cluster it was made. */
const cloneTag = 'holdpoint.dev/clone-of';
/** The green cluster of a blue/green deployment, or after a switchover the old one. */
const secondCluster = 'the other cluster of the deployment';
const presence: Readonly<Record<string, readonly [string, string]>> = {
  'rds.createBlueGreen': ['gone', 'there'],
  'rds.deleteBlueGreen': ['there', 'gone'],
};

/** What a run may change of an Aurora cluster: `writer`; by their names its engine version, classes of its instances, and its clones. */
export type Members = Readonly<Record<string, string>>;

/** Reads them as RDS keeps them. */
export function membersOf(database: DatabaseCluster): Members {
  const cluster = database.name.replace(/-old1$/, '');
  const serving = database.all().find(({ name }) => name === cluster) ?? database;
  const others = database.all().filter((one) => one !== serving);
  const { writer, engineVersion, instances } = serving;
  const classes = instances.map(({ name, instanceClass }): [string, string] => [name, instanceClass]);
  const authorities = instances.map(({ name, certificateAuthority }): [string, string] => [certificateOf(name), certificateAuthority]);
  const there = others.map(({ name, tags }): [string, string] => [cloneTag in tags ? name : secondCluster, 'there']);
  return { writer, [cluster]: engineVersion, ...Object.fromEntries([...classes, ...authorities, ...there]) };
}

function certificateOf(instance: string): string {
  return `certificate of ${instance}`;
}

/** What a step has done to a member, as the record of its run has it. */
interface Touch {
  step: string;
  uses: string;
  /** As in Members. */
  member: string;
  before: string;
  after: string;
  end: 'seen' | 'said' | 'none';
}

/**
 * Each failover of the run that people have not signed for: to or from another instance than planned, or more of them than steps were
 * begun and tried again. The sandbox has counted them.
 */
export async function failoversTooMany(database: DatabaseCluster, others: DatabaseOthers, state: RunState | undefined): Promise<string[]> {
  const entries = state ? await entriesOf(state) : [];
  const touches = touchesIn(entries).filter(({ uses }) => uses === failoverAction);
  const own = database.failovers.filter((failover) => !others.failovers.has(failover));
  const strange = own.filter(({ from, asked }) => !touches.some(({ before, after }) => before === from && after === asked));
  const retries = entries.filter(({ kind, body }) => {
    return kind === 'command.accepted' && body.command === 'retry' && touches.some(({ step }) => step === body.step);
  }).length;
  const allowed = touches.length + retries;
  return [
    ...strange.map(({ from, asked }) => `a failover from ${from} to ${asked ?? 'any reader'} that no step has planned`),
    ...(own.length > allowed
      ? [`${own.length} failovers, though steps were begun ${touches.length} times and tried again ${retries}`]
      : []),
  ];
}

/** Whether RDS was asked for more switchovers to a green cluster than steps were begun and tried again. The sandbox has counted them. */
export async function switchoversTooMany({ switchovers }: DatabaseCluster, state: RunState | undefined): Promise<string[]> {
  if (switchovers === 0) return [];
  const entries = state ? await entriesOf(state) : [];
  const begun = entries.filter(({ kind, body }) => kind === 'step.started' && body.uses === 'rds.switchoverBlueGreen');
  const retries = entries.filter(({ kind, body }) => {
    return kind === 'command.accepted' && body.command === 'retry' && begun.some(({ body: { step } }) => step === body.step);
  });
  const allowed = begun.length + retries.length;
  return switchovers <= allowed ? [] : [`${switchovers} switchovers, though the step was begun or tried again ${allowed} times`];
}

/** What is neither as it was nor as the run says that it leaves it, once the cluster has come to rest. */
export async function databaseLeftovers(
  { database, before, others }: { database: DatabaseCluster; before: Members; others: DatabaseOthers },
  state: RunState | undefined,
): Promise<string[]> {
  const giveUpAtMs = performance.now() + settleMaxMs;
  const isAtRest = (): boolean => {
    return database.all().every(({ status, instances }) => {
      return [status, ...instances.map((one) => one.status)].every((one) => one === 'available');
    });
  };
  while (!isAtRest() && performance.now() < giveUpAtMs) await wait(settlePauseMs);
  const restless = isAtRest() ? [] : [`database ${database.name} does not come to rest`];
  const touches = state ? touchesIn(await entriesOf(state)) : [];
  const after = membersOf(database);
  const found = Object.keys({ ...before, ...after }).flatMap((member) => {
    // Where somebody else fails over, or RDS does not do as it is asked to, the writer is not the run's to answer for.
    if (member === 'writer' && (others.failovers.size > 0 || others.twisted)) return [];
    return problemOf(member, { was: before[member], is: after[member] }, touches, state);
  });
  return [...restless, ...found];
}

function problemOf(
  member: string,
  { was = 'gone', is = 'gone' }: { was: string | undefined; is: string | undefined },
  touches: readonly Touch[],
  state: RunState | undefined,
): string[] {
  const own = touches.filter((touch) => touch.member === member);
  const last = own.at(-1);
  if (state?.phase === 'done') {
    if (last?.end === 'said') return [];
    const wanted = last?.after ?? was;
    return wanted === is ? [] : [`${member} was to be ${wanted} and is ${is}`];
  }
  if (was === is || isTold(own, state)) return [];
  return [`${member} was ${was} and is ${is}, and the run says nothing of it`];
}

/** Whether a run that has not come to its end owns up to a change. */
function isTold(touches: readonly Touch[], state: RunState | undefined): boolean {
  const leftovers = state?.ended?.leftovers ?? [];
  return touches.some(({ step, end }) => {
    if (step.startsWith(undoPrefix)) return end === 'said';
    const said = leftovers.filter((sentence) => sentence.startsWith(`step ${step} `));
    return said.some((sentence) => state?.phase !== 'undone' || sentence.includes(' stays: '));
  });
}

function touchesIn(entries: readonly EvidenceEntry[]): Touch[] {
  const touches: Touch[] = [];
  for (const { kind, body } of entries) {
    const {
      step,
      uses,
      effects = [],
      signedBy = [],
    } = body as unknown as Record<'step' | 'uses', string> & {
      effects?: Effect[];
      signedBy?: string[];
    };
    const effect = effects.find(({ object }) => object.startsWith('Database'));
    if (kind === 'step.started' && effect && !additions.includes(uses)) {
      const isFailover = uses === failoverAction;
      const named = effect.object.split('/')[1] ?? '';
      const member = isFailover ? 'writer' : uses === 'rds.rotateCertificate' ? certificateOf(named) : named;
      const name = (value: unknown): string => {
        if (isFailover) return String(value).split(' ')[0] ?? '';
        return uses === 'rds.switchoverBlueGreen' ? String(value).replace(/^(blue|green): /, '') : String(value);
      };
      const [before, after] = presence[uses] ?? [name(effect.before), name(effect.after)];
      touches.push({ step, uses, member: uses in presence ? secondCluster : member, before, after, end: 'none' });
    }
    const last = touches.findLast((touch) => touch.step === step);
    if (last && kind === 'step.done') last.end = signedBy.length > 0 ? 'said' : 'seen';
    if (last && kind === 'step.skipped') last.end = 'said';
  }
  return touches;
}
