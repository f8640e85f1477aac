import type { ActionContext, Observation } from '../../../domain/action.ts';
import type { ExportStatement } from '../../../domain/backup/export.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { Blocker, Effect, Risk } from '../../../domain/plan/plan.ts';
import { formatTarget, TargetError, type Target } from '../../../domain/target.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { parseTarget } from '../../../runbooks/targets.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../../action.ts';
import { openKeyKeeper } from '../../backup/keys.ts';
import type { StoredBackup } from '../../backup/store.ts';
import type { Clients } from '../../clients.ts';
import { clusterIdOf, openExports } from '../export/backup.ts';
import { discoverTypes } from '../export/discover.ts';
import { readArchive, type ArchivedObject } from '../export/read-archive.ts';
import { applyAll, type Application, type Applying } from './apply.ts';
import { compareWithCluster, type ComparedObject, type RestoreScope } from './compare.ts';
import { effectsOf, risksOf, RestorePlan, updatesMax } from './restore-plan.ts';
import { blockersOfDryRun } from './dry-run.ts';
import { blockersOfRunning } from './running.ts';

const name = 'kubernetes.restore';
const estimateMsPerObject = 20;
const estimateMinMs = 10_000;
/** What is held in the memory of a worker to be put into its order. */
const heldBytesMax = 256 * 1024 * 1024;

type RestoreFacts = {
  from: string;
  backup: string;
  sha256: string;
  /** Of the cluster that is restored into. */
  clusterId: string;
  scope: RestoreScope;
  existing: 'keep' | 'update';
  /** How many objects are made, and the digest over their names and contents. */
  creates: number;
  digest: string;
  updates: { object: string; uid: string }[];
  /** Objects that are different and stay, as the server would refuse the change. */
  left: string[];
};

/** `kubernetes.restore`: objects of a backup are put back; what is there already is left, or changed back where that was signed. */
export function kubernetesRestoreAction(clients: Clients): AnyAction {
  return defineAction<ActionInput<typeof name>, RestoreFacts>({
    declaration: actions[name],
    plan: async (input, context) => planRestore(clients, input, context),
    observe: async ({ facts }, context) => {
      const look = await lookAt(clients, facts, context);
      const { restored, kept, different, todo, changed } = look;
      const total = restored + todo.length;
      const summary = `${restored} of ${total} objects restored`;
      const progress = { summary, done: restored, total, unit: 'objects', items: [] };
      const [first] = changed;
      if (first !== undefined) return { state: 'stuck', progress, ...stuckOver(first, changed.length) };
      if (todo.length > 0) return { state: 'todo', progress };
      return { state: 'done', progress, outputs: { backup: facts.backup, restored, kept, different } };
    },
    act: async ({ facts }, context) => {
      const { todo, types, changed } = await lookAt(clients, facts, context);
      if (changed.length > 0) return;
      const applying: Applying = {
        ...{ connect: () => clients.kubernetes(context.target), cluster: context.target.name, manager: managerOf(context), types },
        ...{ signal: context.signal, wait: (ms) => context.wait(ms) },
        onDone: (done) => {
          const summary = `${done} of ${todo.length} objects applied`;
          context.report({ summary, done, total: todo.length, unit: 'objects', items: [] });
        },
      };
      const refused = await applyAll(todo, applying);
      const [first] = refused;
      if (first) throw first.error;
    },
    undo: async () => ({ noUndo: 'Objects that were restored stay; delete them by hand, or restore a backup that was made before.' }),
  });
}

/** Marks what one step has applied, in the object itself. */
function managerOf({ run, step }: Pick<ActionContext, 'run' | 'step'>): string {
  return `holdpoint.restore.${run}.${step}`.slice(0, 128);
}

function stuckOver(key: string, count: number): Pick<Extract<Observation, { state: 'stuck' }>, 'reason' | 'remedy'> {
  const others = count > 1 ? ` So have ${count - 1} others.` : '';
  return {
    reason: `${key} has come or changed since the plan was signed.${others}`,
    remedy: 'Look at it with `holdpoint backups diff` and kubectl; then abort the run and start a new one, which plans with it.',
  };
}

interface Opened {
  stored: StoredBackup<ExportStatement>;
  archive: () => AsyncGenerator<ArchivedObject>;
}

/** The backup that is restored. Throws `backup-unusable` where there is none of that name. */
async function openBackup(clients: Clients, from: Target, wanted: string | undefined): Promise<Opened> {
  const { backups, store } = await openExports(clients, from);
  const kept = (await store.list()).filter(({ isDeleted }) => !isDeleted);
  const stored = wanted === undefined ? kept.at(-1) : kept.find((one) => one.name === wanted);
  if (!stored) {
    const cause = wanted === undefined ? 'there is none yet' : 'there is none of that name, or its file was deleted';
    throw new HoldpointError('backup-unusable', { backup: wanted ?? `of ${formatTarget(from)}`, cause });
  }
  const keys = await openKeyKeeper(backups.key);
  const archive = (): AsyncGenerator<ArchivedObject> => {
    return readArchive(stored.name, store.open(stored.manifest, keys), stored.manifest.statement);
  };
  return { stored, archive };
}

function targetFrom(from: string | undefined, target: Target): Target {
  if (from === undefined) return target;
  try {
    return parseTarget(from);
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    throw new HoldpointError('action-input-invalid', { action: name, cause: `from: ${error.message}` });
  }
}

async function planRestore(
  clients: Clients,
  { backup, from, whole, namespaces = [], objects = [], existing, intoRunning }: ActionInput<typeof name>,
  context: ActionContext,
): Promise<PlanOf<RestoreFacts>> {
  const { target, signal } = context;
  const source = targetFrom(from, target);
  const { stored, archive } = await openBackup(clients, source, backup);
  const { statement, file } = stored.manifest;
  const apis = await clients.kubernetes(target);
  const clusterId = await clusterIdOf(apis, target.name);
  const served = await discoverTypes(apis, target.name);
  const scope: RestoreScope = { whole: whole === true, namespaces: [...namespaces].sort(), objects: [...objects].sort() };
  const reading = { cluster: target.name, connect: () => clients.kubernetes(target), signal };
  const found = new RestorePlan(existing);
  // Nothing of it counts before the archive was read to its end.
  for await (const compared of compareWithCluster(archive(), scope, served, reading)) found.add(compared);
  const object = `Backup/${stored.name}`;
  const blockers: Blocker[] = [];
  if (statement.clusterId !== clusterId && from === undefined) {
    const reason = `It is of the cluster ${statement.clusterId}, and ${formatTarget(target)} is ${clusterId}.`;
    blockers.push({ object, reason, remedy: `If that is meant, say so: from: ${formatTarget(source)}.` });
  }
  if (found.isEmpty) blockers.push({ object, reason: 'It has none of what is to be restored.', remedy: 'Correct the inputs of the run.' });
  if (found.updates.length > updatesMax) {
    const reason = `${found.updates.length} objects would be changed back; a plan may have ${updatesMax}.`;
    blockers.push({ object, reason, remedy: 'Restore namespace by namespace.' });
  }
  const applying = { ...reading, manager: managerOf(context), types: statement.types, wait: context.wait, onDone: () => undefined };
  if (blockers.length === 0) blockers.push(...(await blockersOfDryRun(found, served, applying)));
  if (!intoRunning) blockers.push(...(await blockersOfRunning(found.namespacesTouched(), reading)));
  const facts: RestoreFacts = {
    ...{ from: formatTarget(source), backup: stored.name, sha256: file.sha256, clusterId, scope, existing },
    ...{
      creates: found.creates.length,
      digest: found.digest(),
      updates: found.updates.map(({ key, live }) => ({ object: key, uid: live.uid })),
    },
    left: [...found.left].sort(),
  };
  return {
    ...emptyPlan(facts),
    effects: effectsOf(found) satisfies Effect[],
    risks: risksOf(found, statement, from !== undefined) satisfies Risk[],
    blockers,
    notes: found.notes(),
    details: { takenAt: statement.takenAt, revision: statement.revision, consistency: statement.consistency, same: found.same },
    estimateMs: Math.max(estimateMinMs, (found.creates.length + found.updates.length) * estimateMsPerObject),
  };
}

interface Look {
  restored: number;
  /** Different, and left as they are. */
  kept: number;
  /** Applied by this step, and different since. */
  different: number;
  todo: Application[];
  /** What nobody has signed. */
  changed: string[];
  types: ExportStatement['types'];
}

/** How far a restore is, read from the backup and the cluster alone. */
async function lookAt(clients: Clients, facts: RestoreFacts, context: ActionContext): Promise<Look> {
  const { target, signal } = context;
  const { stored, archive } = await openBackup(clients, parseTarget(facts.from), facts.backup);
  const apis = await clients.kubernetes(target);
  const clusterId = await clusterIdOf(apis, target.name);
  if (stored.manifest.file.sha256 !== facts.sha256 || clusterId !== facts.clusterId) {
    const cause = 'the backup or the cluster is not the one that was planned';
    throw new HoldpointError('plan-does-not-cover', { action: name, cause });
  }
  const served = await discoverTypes(apis, target.name);
  const reading = { cluster: target.name, connect: () => clients.kubernetes(target), signal };
  const look: Look = { restored: 0, kept: 0, different: 0, todo: [], changed: [], types: stored.manifest.statement.types };
  const signed = new Map(facts.updates.map(({ object, uid }) => [object, uid]));
  const manager = managerOf(context);
  let heldBytes = 0;
  for await (const compared of compareWithCluster(archive(), facts.scope, served, reading)) {
    const fate = fateOf(compared, signed, facts, manager);
    if (fate === 'todo') {
      heldBytes += compared.archived.json.length;
      if (heldBytes > heldBytesMax) {
        const remedy = 'Restore namespace by namespace.';
        throw new HoldpointError('action-stuck', {
          cause: `More than ${heldBytesMax} bytes of objects are to be restored at once.`,
          remedy,
        });
      }
      look.todo.push(applicationOf(compared));
    } else if (fate === 'changed') look.changed.push(compared.key);
    else if (fate !== 'skipped') look[fate] += 1;
    if (fate === 'different') look.restored += 1;
  }
  return look;
}

function fateOf(
  { key, live, fields, skipped }: ComparedObject,
  signed: ReadonlyMap<string, string>,
  { existing, left }: Pick<RestoreFacts, 'existing' | 'left'>,
  manager: string,
): 'skipped' | 'todo' | 'restored' | 'kept' | 'different' | 'changed' {
  if (skipped !== undefined || left.includes(key)) return 'skipped';
  const uid = signed.get(key);
  if (!live) return uid === undefined ? 'todo' : 'changed';
  if (fields.length === 0) return 'restored';
  if (live.managers.includes(manager)) return 'different';
  if (uid !== undefined) return live.uid === uid ? 'todo' : 'changed';
  return existing === 'keep' ? 'kept' : 'changed';
}

function applicationOf({ key, archived: { type, namespace, name: own, object }, live }: ComparedObject): Application {
  return { key, type, namespace, name: own, object, ...(live && { live }) };
}
