import { Context, type Info } from '@temporalio/activity';
import { HoldpointError } from '../domain/errors.ts';

/** Executions whose beginning is remembered, the longest unused one given up first; another one costs a question to Temporal. */
const rememberedMax = 1_000;
/** How long Temporal may take to answer it. */
const answerTimeoutMs = 10_000;
/** How many histories of one run are gone back through: each begins a new one only after thousands of events. */
const historiesMax = 100;
/** `CONTINUE_AS_NEW_INITIATOR_WORKFLOW` of the Temporal API: the workflow itself has continued as new. */
const continuedByItself = 1;

/** The workflow that has asked for an activity, as the Temporal server knows it. */
export interface Caller {
  workflowType: string;
  workflowId: string;
  /** Id of the execution: another one for each start, each reset, and each time that a run continues as new. */
  execution: string;
  /** Whether it has continued that other execution as new, at once or over more than one history. */
  continues(execution: string): Promise<boolean>;
  /** The execution that has started it, where a workflow has. */
  parent?: { execution: string };
}

/** What the server knows of the beginning of an execution. It never changes. */
interface Origin {
  workflowType: string;
  taskQueue: string;
  /** The execution that it has continued as new. */
  continued?: string;
  isReset: boolean;
  /** The execution of the workflow that has started it. */
  parent?: string;
}

/** Finds out who calls: each worker keeps one, for what it has heard from Temporal. */
export class Callers {
  private readonly origins = new Map<string, Origin>();

  /**
   * The workflow that has asked for the activity at hand. Throws `caller-refused` for anything but a workflow of one of the types that
   * was started on the queue of this worker: whoever reaches Temporal can have any workflow ask any worker for anything. A workflow that
   * somebody has reset is refused, too, as it would do again what it has done.
   */
  async present(workflowTypes: readonly string[]): Promise<Caller> {
    const { info } = Context.current();
    const { activityType, workflowExecution, workflowType = '' } = info;
    const refuse = (cause: string): HoldpointError => new HoldpointError('caller-refused', { activity: activityType, cause });
    if (!workflowExecution) throw refuse('it was asked for by no workflow at all');
    const { workflowId, runId: execution } = workflowExecution;
    const caller = `the workflow ${workflowId} (execution ${execution})`;
    if (!workflowTypes.includes(workflowType)) throw refuse(`${caller} is a ${workflowType}, and only a ${workflowTypes.join(' or ')} may`);
    const origin = await this.originOf(workflowId, execution);
    if (origin.workflowType !== workflowType || !isQueueOf(info, origin.taskQueue)) {
      throw refuse(`${caller} was started on the queue ${origin.taskQueue}, which is not this worker's`);
    }
    if (origin.isReset) throw refuse(`${caller} was made by a reset of another execution, which would do again what that one has done`);
    const continues: Caller['continues'] = (other) => this.continues(workflowId, execution, other);
    return { workflowType, workflowId, execution, continues, ...(origin.parent !== undefined && { parent: { execution: origin.parent } }) };
  }

  private async continues(workflowId: string, execution: string, other: string): Promise<boolean> {
    let origin = await this.originOf(workflowId, execution);
    for (let histories = 1; histories <= historiesMax; histories += 1) {
      if (origin.isReset || origin.continued === undefined) return false;
      if (origin.continued === other) return true;
      origin = await this.originOf(workflowId, origin.continued);
    }
    return false;
  }

  private async originOf(workflowId: string, execution: string): Promise<Origin> {
    const known = this.origins.get(execution);
    this.origins.delete(execution);
    const origin = known ?? (await readOrigin(workflowId, execution));
    this.origins.set(execution, origin);
    const [oldest] = this.origins.keys();
    if (this.origins.size > rememberedMax && oldest !== undefined) this.origins.delete(oldest);
    return origin;
  }
}

/** An action that runs in one place has a queue beside that of its run; see `runsOn`. */
function isQueueOf({ taskQueue }: Info, started: string): boolean {
  return taskQueue === started || taskQueue.startsWith(`${started}.`);
}

/** Reads the first event of a history, which the server has written, whatever workers have answered since. */
async function readOrigin(workflowId: string, runId: string): Promise<Origin> {
  const { client, info } = Context.current();
  const { history } = await client.connection.withDeadline(Date.now() + answerTimeoutMs, () =>
    client.workflowService.getWorkflowExecutionHistory({
      namespace: info.namespace,
      execution: { workflowId, runId },
      maximumPageSize: 1,
    }),
  );
  const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
  const { workflowType, taskQueue, continuedExecutionRunId, originalExecutionRunId, initiator, parentWorkflowExecution } = started ?? {};
  return {
    workflowType: workflowType?.name ?? '',
    taskQueue: taskQueue?.name ?? '',
    ...(continuedExecutionRunId && Number(initiator) === continuedByItself && { continued: continuedExecutionRunId }),
    isReset: originalExecutionRunId !== runId,
    ...(parentWorkflowExecution?.runId && { parent: parentWorkflowExecution.runId }),
  };
}
