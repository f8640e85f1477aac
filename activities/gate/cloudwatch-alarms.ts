import type { DescribeAlarmsCommandOutput } from '@aws-sdk/client-cloudwatch';
import type { ActionContext } from '../../domain/action.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import type { AnyAction } from '../action.ts';
import type { Clients } from '../clients.ts';
import { awsError } from '../failure.ts';
import { gateAction, type Look } from './gate.ts';

const name = 'gate.cloudwatchAlarms';
type Input = ActionInput<typeof name>;
/** Which alarms are looked at, and what they may lack. */
export type AlarmsInput = Pick<Input, 'names' | 'prefix' | 'region' | 'allowMissing' | 'allowInsufficientData'>;
/** CloudWatch gives up to 100 alarms a page. */
const pagesMax = 20;
const pageSize = 100;

interface Alarm {
  name: string;
  state: string;
}

/** `gate.cloudwatchAlarms`: the states of alarms, metric and composite ones. */
export function cloudwatchAlarmsGate(clients: Pick<Clients, 'cloudwatch'>, nowMs?: () => number): AnyAction {
  return gateAction<Input>(actions[name], (input, context) => lookAtAlarms(clients, input, context), nowMs);
}

/** Whether all of the alarms are OK. Reads only. Throws `aws-…` errors, and `action-input-invalid` where no region is known. */
export async function lookAtAlarms(
  clients: Pick<Clients, 'cloudwatch'>,
  input: AlarmsInput,
  context: Pick<ActionContext, 'target' | 'signal'>,
): Promise<Look> {
  return judge(input, await readAlarms(clients, input, context));
}

async function readAlarms(
  clients: Pick<Clients, 'cloudwatch'>,
  { names, prefix, region = '' }: AlarmsInput,
  { target, signal }: Pick<ActionContext, 'target' | 'signal'>,
): Promise<Alarm[]> {
  const place = region === '' ? target.region : region;
  if (place === '') throw new HoldpointError('action-input-invalid', { action: name, cause: 'a target without a region needs region' });
  const alarms: Alarm[] = [];
  let next: string | undefined;
  for (let pages = 0; pages < pagesMax; pages += 1) {
    const client = await clients.cloudwatch(place);
    const page: DescribeAlarmsCommandOutput = await client
      .describeAlarms(
        {
          ...(names ? { AlarmNames: names } : { AlarmNamePrefix: prefix }),
          AlarmTypes: ['MetricAlarm', 'CompositeAlarm'],
          MaxRecords: pageSize,
          NextToken: next,
        },
        { abortSignal: signal },
      )
      .catch((error: unknown) => Promise.reject(awsError(error, 'DescribeAlarms', { ...target, region: place })));
    for (const { AlarmName = '', StateValue = '' } of [...(page.MetricAlarms ?? []), ...(page.CompositeAlarms ?? [])]) {
      alarms.push({ name: AlarmName, state: StateValue });
    }
    next = page.NextToken;
    if (next === undefined) return alarms;
  }
  throw new Error(`there are more than ${pagesMax * pageSize} alarms`);
}

function judge({ names, prefix = '', allowMissing, allowInsufficientData }: AlarmsInput, alarms: readonly Alarm[]): Look {
  const missing = (names ?? []).filter((wanted) => !alarms.some((alarm) => alarm.name === wanted));
  if (missing.length > 0 && !allowMissing) return { open: false, reason: `there is no alarm ${missing.join(', ')}` };
  if (alarms.length === 0 && !allowMissing) return { open: false, reason: `no alarm begins with ${prefix}` };
  const isFine = ({ state }: Alarm): boolean => state === 'OK' || (state === 'INSUFFICIENT_DATA' && allowInsufficientData);
  const wrong = alarms.filter((alarm) => !isFine(alarm));
  if (wrong.length === 0) return { open: true, reason: `${alarms.length} of ${alarms.length} alarms are OK` };
  const told = wrong.slice(0, 5).map((alarm) => `${alarm.name} is ${alarm.state || 'without a state'}`);
  const more = wrong.length > told.length ? `, and ${wrong.length - told.length} more` : '';
  return { open: false, reason: `${told.join(', ')}${more}` };
}
