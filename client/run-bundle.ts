import type { WorkflowHandle } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';
import type { Json, JsonObject } from '../domain/json.ts';

/** What a bug report of a run is made of; with names and secrets, which whoever makes the report takes out. */
export interface RunBundle {
  run: string;
  /** Version of the Temporal server. */
  server: string;
  state: Json;
  entries: Json;
  history: Json;
}

/** Events of a run's history that a report has; the last ones. */
const eventsMax = 5_000;

/** The events of a history without what they carry: what happened when, and which failures there were. Throws what Temporal does. */
export async function eventsOf(handle: WorkflowHandle): Promise<JsonObject[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).slice(-eventsMax).map((event): JsonObject => {
    const { attributes = {}, eventType } = attributesOf(event);
    const { failure, lastFailure, activityType, signalName, attempt, cause } = attributes;
    const failed = failure ?? lastFailure;
    return {
      id: Number(event.eventId),
      eventType,
      at: new Date(Number(event.eventTime?.seconds ?? 0) * 1_000 + Math.floor((event.eventTime?.nanos ?? 0) / 1e6)).toISOString(),
      ...(activityType?.name && { activity: activityType.name }),
      ...(typeof signalName === 'string' && { event: signalName }),
      ...(typeof attempt === 'number' && attempt > 1 && { attempts: attempt }),
      ...(cause !== undefined && cause !== null && { cause: Number(cause) }),
      ...(failed && { type: failed.applicationFailureInfo?.type ?? '', message: failed.message ?? '' }),
    };
  });
}

interface Attributes {
  failure?: temporal.api.failure.v1.IFailure | null;
  lastFailure?: temporal.api.failure.v1.IFailure | null;
  activityType?: { name?: string | null } | null;
  signalName?: string | null;
  attempt?: number | null;
  cause?: number | null;
}

/** An event has its attributes in the field of its type. */
function attributesOf(event: temporal.api.history.v1.IHistoryEvent): { eventType: string; attributes?: Attributes } {
  const found = Object.entries(event).find(([name, value]) => name.endsWith('EventAttributes') && value);
  if (!found) return { eventType: 'unknown' };
  return { eventType: found[0].replace('EventAttributes', ''), attributes: found[1] as Attributes };
}
