import type { Client } from '@temporalio/client';
import { standingOf } from '../domain/approval/request.ts';
import { HoldpointError } from '../domain/errors.ts';
import type { BrokenGlass, RunState } from '../domain/run/state.ts';
import type { AwaitedOpening } from '../domain/run/window.ts';
import { runWorkflow, searchAttributes } from '../workflows/messages.ts';
import type { TemporalSettings } from './connection.ts';
import { stepsInShort, type StepSummary } from './hold-summary.ts';

/** How many runs that wait at a hold are looked at. */
const runsReadMax = 1_000;
/** How many of them are asked at a time. */
const questionsAtOnce = 8;

/** A hold that waits for somebody's signature. */
export interface InboxItem {
  run: string;
  target: string;
  /** Title of the runbook. */
  title: string;
  requester: string;
  /** The operator who has asked for it, where it is no hold of the runbook. */
  askedBy?: string;
  /** What somebody has released alone in the run; left out where nobody has. */
  brokenGlass?: BrokenGlass[];
  hold: string;
  request: number;
  question: string;
  planHash: string;
  /** How many more must sign, besides whoever has. */
  missing: number;
  /** ISO 8601, UTC. */
  requestedAt: string;
  expiresAt: string;
  ageMs: number;
  leftMs: number;
  /** When the steps may begin, in a run that keeps to a window. */
  opening?: AwaitedOpening;
  /** What would be signed, step by step in short. */
  steps: StepSummary[];
}

/** What waits for somebody, over all runs. */
export interface Inbox {
  /** What closes first comes first. */
  items: InboxItem[];
  /** Runs that wait at a hold, and could not be asked whose signature they want. */
  unread: { target: string; reason: string }[];
  /** There are more runs at holds than are looked at. */
  more: boolean;
}

/**
 * Finds the holds that a person may sign now: what waits by Temporal's list of runs, and of each of those, what it says itself.
 *
 * @param read the state of the run on a target, checked to be that run's.
 */
export async function readInbox(
  client: Client,
  { taskQueue }: TemporalSettings,
  person: string,
  read: (target: string) => Promise<RunState>,
): Promise<Inbox> {
  const ours = `WorkflowType = '${runWorkflow}' AND TaskQueue = '${taskQueue}' AND ExecutionStatus = 'Running'`;
  const targets: string[] = [];
  let more = false;
  for await (const { workflowId } of client.workflow.list({ query: `${ours} AND ${searchAttributes.phase} = 'holding'` })) {
    more = targets.length >= runsReadMax;
    if (more) break;
    targets.push(workflowId);
  }
  const inbox: Inbox = { items: [], unread: [], more };
  const ask = async (): Promise<void> => {
    for (let target = targets.pop(); target !== undefined; target = targets.pop()) {
      const asked = target;
      try {
        const item = itemFor(person, await read(asked), Date.now());
        if (item) inbox.items.push(item);
      } catch (error) {
        // It has ended since it was listed.
        if (error instanceof HoldpointError && error.code === 'run-unknown') continue;
        inbox.unread.push({ target: asked, reason: error instanceof Error ? error.message : String(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: questionsAtOnce }, ask));
  inbox.items.sort((one, other) => Date.parse(one.expiresAt) - Date.parse(other.expiresAt));
  inbox.unread.sort((one, other) => (one.target < other.target ? -1 : 1));
  return inbox;
}

function itemFor(person: string, { run, target, runbook, requester, hold, brokenGlass }: RunState, nowMs: number): InboxItem | undefined {
  if (!hold || hold.request.closed) return undefined;
  const { request, decisions } = hold;
  const standing = standingOf(request, decisions, nowMs);
  if (standing.state !== 'waiting' || !standing.maySign.includes(person)) return undefined;
  const { hold: id, number, question, planHash, askedBy, requestedAt, expiresAt } = request;
  return {
    run,
    target,
    title: runbook.title,
    requester,
    ...(askedBy !== undefined && { askedBy }),
    ...(brokenGlass && { brokenGlass }),
    hold: id,
    request: number,
    question,
    planHash,
    missing: standing.missing,
    requestedAt,
    expiresAt,
    ageMs: Math.max(0, nowMs - Date.parse(requestedAt)),
    leftMs: Math.max(0, Date.parse(expiresAt) - nowMs),
    ...(hold.opening && { opening: hold.opening }),
    steps: stepsInShort(hold.plan),
  };
}
