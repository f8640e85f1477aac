import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { ActionContext } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { ownValue } from '../../domain/map.ts';
import { placeIn } from '../../domain/run/place.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import type { EtcdAccess, EtcdMachine } from '../../runbooks/configuration/etcd.ts';
import { waitOrStop } from '../action.ts';
import type { Clients } from '../clients.ts';
import { programEnvironment } from './programs.ts';

const commandTimeoutMs = 60_000;
const connectTimeoutMs = 5_000;
/** How long etcd may take, once its command has ended, to listen, or to listen no more. */
const settleTimeoutMs = 60_000;
const lookMs = 200;

/** The machine of a member as its plan names it: people sign what is run there. */
export type MachineFacts = { member: string; machine: JsonObject & EtcdMachine };

/** A member of a target with its machine. Throws `target-not-configured` where holdpoint.yaml does not say it. */
export function machineOf({ members = {} }: Pick<EtcdAccess, 'members'>, target: Target, member: string): MachineFacts {
  const machine = ownValue(members, member);
  if (machine) return { member, machine: { ...machine } };
  const cause = `\`etcd.${target.name}.members\` of holdpoint.yaml has no "${member}".`;
  throw new HoldpointError('target-not-configured', { target: formatTarget(target), cause });
}

/**
 * Makes sure that this worker is on the machine of the member, and that the machine is configured as it was planned. Throws
 * `member-elsewhere`, `plan-does-not-cover`.
 */
export async function requireHere(
  clients: Clients,
  { member, machine }: MachineFacts,
  { target }: Pick<ActionContext, 'target'>,
  action: string,
): Promise<EtcdAccess> {
  const place = placeIn(formatTarget(target), member);
  if (clients.place !== place) {
    throw new HoldpointError('member-elsewhere', { action, place, here: clients.place ?? 'on the machine of no member' });
  }
  const access = await clients.etcd(target);
  const now = machineOf(access, target, member).machine;
  // In the order in which it is written: the file is the same everywhere.
  const asText = ({ endpoint, peerUrl, dataDirectory, start, stop }: EtcdMachine): string =>
    JSON.stringify([endpoint, peerUrl, dataDirectory, start, stop]);
  if (asText(now) === asText(machine)) return access;
  throw new HoldpointError('plan-does-not-cover', { action, cause: `\`members.${member}\` of holdpoint.yaml is not what was planned` });
}

/**
 * Whether etcd listens for other members, as it does from its start to its end, with or without a quorum. Throws `etcd-unreachable` where
 * that cannot be told.
 */
export async function isListening({ member, machine: { peerUrl } }: MachineFacts, target: Target): Promise<boolean> {
  const { hostname, port } = new URL(peerUrl);
  const socket = connect({ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port), timeout: connectTimeoutMs });
  try {
    const unknown = once(socket, 'timeout').then(() => Promise.reject(new Error('no answer')));
    await Promise.race([once(socket, 'connect'), unknown]);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return false;
    const cause = error instanceof Error ? error.message : String(error);
    throw new HoldpointError('etcd-unreachable', { member, target: formatTarget(target), call: `a connection to ${peerUrl}`, cause });
  } finally {
    socket.destroy();
  }
}

/**
 * Runs `start` or `stop`, and waits until etcd listens, or listens no more. Throws `member-command-failed` where it does not come to that.
 * What the program starts outlives this worker, and hears nothing of its environment.
 */
export async function runOnMachine(
  which: 'start' | 'stop',
  facts: MachineFacts,
  { target, signal }: Pick<ActionContext, 'target' | 'signal'>,
): Promise<void> {
  const [program = '', ...args] = facts.machine[which];
  const failed = (cause: string): HoldpointError => {
    return new HoldpointError('member-command-failed', { command: program, place: placeIn(formatTarget(target), facts.member), cause });
  };
  // Its output is not read: whatever it starts would hold on to a pipe, and be ended by it when this worker ends.
  const child = spawn(program, args, { stdio: 'ignore', detached: true, env: programEnvironment(), cwd: '/' });
  const over = new AbortController();
  const overdue = waitOrStop(commandTimeoutMs, AbortSignal.any([signal, over.signal])).then(() => undefined);
  const end = once(child, 'exit', { signal: over.signal }) as Promise<[number | null, string | null]>;
  end.catch(() => undefined);
  const ended = await Promise.race([end, overdue])
    .catch((error: unknown) => Promise.reject(failed(`it cannot be run (${error instanceof Error ? error.message : String(error)})`)))
    .finally(() => over.abort());
  child.unref();
  signal.throwIfAborted();
  // One that waits for the whole cluster, as `systemctl start` may, ends later; what it has come to is seen by a look.
  if (ended && ended[0] !== 0) throw failed(`it has ended with ${ended[0] === null ? String(ended[1]) : `the exit code ${ended[0]}`}`);
  const giveUpAtMs = performance.now() + settleTimeoutMs;
  while ((await isListening(facts, target)) !== (which === 'start')) {
    if (performance.now() > giveUpAtMs) {
      throw failed(`${facts.machine.peerUrl} is ${which === 'start' ? 'not served' : 'still served'} ${settleTimeoutMs / 1000} s after it`);
    }
    await waitOrStop(lookMs, signal);
    signal.throwIfAborted();
  }
}
