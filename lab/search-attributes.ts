import { setTimeout as wait } from 'node:timers/promises';
import { isGrpcServiceError, type ConnectionLike } from '@temporalio/client';
import proto from '@temporalio/proto';

const { IndexedValueType } = proto.temporal.api.enums.v1;

const callTimeoutMs = 10_000;
/** A server reads its list of attributes anew about once a minute (system.searchAttributesCacheRefreshInterval…). */
const usableTimeoutMs = 90_000;
const usablePauseMs = 200;
/** `PERMISSION_DENIED`, `UNIMPLEMENTED` and `UNAUTHENTICATED` of gRPC. */
const deniedCodes = [7, 12, 16];

/**
 * Registers search attributes of type Keyword in a namespace and resolves when the server takes them in queries.
 * Those that are there already are left alone, so that it can be called at every start. Throws an Error that says what to do
 * where one has another type, or the server does not let us.
 */
export async function registerSearchAttributes(connection: ConnectionLike, namespace: string, names: readonly string[]): Promise<void> {
  let missing: string[];
  try {
    missing = await missingAttributes(connection, namespace, names);
  } catch (error) {
    // Temporal Cloud has attributes managed by other means: only a query tells whether they are there.
    if (!isGrpcServiceError(error) || !deniedCodes.includes(Number(error.code))) throw error;
    return requireUsable(connection, namespace, names);
  }
  if (missing.length > 0) await addAttributes(connection, namespace, missing);
  await becomeUsable(connection, namespace, names);
}

async function missingAttributes(connection: ConnectionLike, namespace: string, names: readonly string[]): Promise<string[]> {
  const { customAttributes } = await withinLimit(connection, () => connection.operatorService.listSearchAttributes({ namespace }));
  for (const name of names) {
    const type = customAttributes[name];
    if (type !== undefined && type !== null && type !== IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD) {
      throw new Error(
        `Search attribute ${name} of namespace ${namespace} has type ${IndexedValueType[type]}, Holdpoint needs Keyword. ` +
          `Remove it (temporal operator search-attribute remove --name ${name}) or use another namespace.`,
      );
    }
  }
  return names.filter((name) => !(name in customAttributes));
}

async function addAttributes(connection: ConnectionLike, namespace: string, names: readonly string[]): Promise<void> {
  const searchAttributes = Object.fromEntries(names.map((name) => [name, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD]));
  try {
    await withinLimit(connection, () => connection.operatorService.addSearchAttributes({ namespace, searchAttributes }));
  } catch (error) {
    // Another process may have been faster.
    if ((await missingAttributes(connection, namespace, names)).length === 0) return;
    const flags = names.map((name) => `--name ${name} --type Keyword`).join(' ');
    throw new Error(
      `The search attributes ${names.join(', ')} cannot be added to namespace ${namespace}: ${String(error)}. ` +
        `Have somebody who may do so run: temporal operator search-attribute create --namespace ${namespace} ${flags}`,
      { cause: error },
    );
  }
}

async function requireUsable(connection: ConnectionLike, namespace: string, names: readonly string[]): Promise<void> {
  try {
    await tryQuery(connection, namespace, names);
  } catch (error) {
    throw new Error(
      `Namespace ${namespace} does not take the search attributes ${names.join(', ')}, and we may not add them: ${String(error)}. ` +
        'Have them added with the type Keyword; on Temporal Cloud that is done where the namespace is edited, or with `tcld namespace`.',
      { cause: error },
    );
  }
}

async function tryQuery(connection: ConnectionLike, namespace: string, names: readonly string[]): Promise<void> {
  const query = names.map((name) => `${name} = 'none'`).join(' AND ');
  await withinLimit(connection, () => connection.workflowService.countWorkflowExecutions({ namespace, query }));
}

/** The list is read from the database, but queries are checked against a cache of the server: only a query tells. */
async function becomeUsable(connection: ConnectionLike, namespace: string, names: readonly string[]): Promise<void> {
  const giveUpAt = performance.now() + usableTimeoutMs;
  for (;;) {
    try {
      return await tryQuery(connection, namespace, names);
    } catch (error) {
      if (performance.now() > giveUpAt) {
        throw new Error(
          `Namespace ${namespace} does not take the search attributes ${names.join(', ')} ` +
            `${usableTimeoutMs / 1000} s after they were added: ${String(error)}. Look into the server's log.`,
          { cause: error },
        );
      }
      await wait(usablePauseMs);
    }
  }
}

async function withinLimit<Result>(connection: ConnectionLike, call: () => Promise<Result>): Promise<Result> {
  return connection.withDeadline(Date.now() + callTimeoutMs, call);
}
