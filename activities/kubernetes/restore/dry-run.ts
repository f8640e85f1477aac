import { ApiException } from '@kubernetes/client-node';
import pMap from 'p-map';
import { typeNameOf } from '../../../domain/backup/export.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { Blocker } from '../../../domain/plan/plan.ts';
import { isDeniedByAdmission, kubernetesMessage } from '../../failure.ts';
import { readPatiently } from '../client/list.ts';
import { apiPath } from '../client/connect.ts';
import { servedNameOf, type ServedTypes } from '../export/discover.ts';
import { applyObject, type Application, type Applying } from './apply.ts';
import type { RestorePlan } from './restore-plan.ts';

const requestsAtOnceMax = 8;
const blockersMax = 50;
const notFoundCode = 404;
const invalidCode = 422;
const webhookPattern = /webhook "([^"]{1,253})"/;

/**
 * Has the API server say what would come of each object (dry run): webhooks and policies that would refuse it are told, and updates of
 * fields that cannot be changed are taken out of the plan. Of what needs a namespace or a type that comes with the restore itself, nothing
 * can be asked. Throws `kubernetes-…` errors that may pass by themselves.
 */
export async function blockersOfDryRun(plan: RestorePlan, { versions }: ServedTypes, applying: Applying): Promise<Blocker[]> {
  const namespaces = new Map<string, Promise<boolean>>();
  const isThere = (namespace: string): Promise<boolean> => {
    const known = namespaces.get(namespace) ?? namespaceExists(namespace, applying);
    namespaces.set(namespace, known);
    return known;
  };
  const tryOne = async (application: Application): Promise<Blocker[]> => {
    const { type, namespace, key, live } = application;
    const isServed = versions.has(servedNameOf(type));
    if (!isServed || (namespace !== '' && !(await isThere(namespace)))) return [];
    try {
      await applyObject(application, applying, true);
      return [];
    } catch (error) {
      if (!(error instanceof HoldpointError) || !(error.cause instanceof ApiException)) throw error;
      const message = kubernetesMessage(error.cause);
      const webhook = webhookPattern.exec(message)?.[1];
      if (error.consequence === 'retry' && webhook === undefined) throw error;
      if (live && error.cause.code === invalidCode && !isDeniedByAdmission(error.cause)) {
        plan.leave(key, typeNameOf(type), 'has a field that cannot be changed in place; delete it first');
        return [];
      }
      return [blockerOf(key, message, webhook)];
    }
  };
  const found = await pMap(plan.tried, tryOne, { concurrency: requestsAtOnceMax });
  return found.flat().slice(0, blockersMax);
}

function blockerOf(key: string, message: string, webhook: string | undefined): Blocker {
  const object = key.replace(' ', '/');
  if (webhook === undefined)
    return { object, reason: `The API server would refuse it: ${message}`, remedy: 'Put that right, or restore other objects only.' };
  return {
    object,
    reason: `The webhook ${webhook} would keep it out: ${message}`,
    remedy: 'Bring the webhook back to work, or take its configuration away for the time of the restore.',
  };
}

async function namespaceExists(namespace: string, { connect }: Applying): Promise<boolean> {
  const path = apiPath`/api/v1/namespaces/${namespace}`;
  return readPatiently(async () => (await connect()).request('GET', path)).then(
    () => true,
    (error: unknown) => {
      if (error instanceof ApiException && error.code === notFoundCode) return false;
      throw error;
    },
  );
}
