import { isObject, parseJson, type Json } from '../../domain/json.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import type { AnyAction } from '../action.ts';
import { statusTrouble } from '../http.ts';
import { holds, inWords } from './condition.ts';
import { ask, type ReadEndpoints } from './endpoint.ts';
import { gateAction, type Look } from './gate.ts';

const name = 'gate.prometheus';
type Input = ActionInput<typeof name>;
/** What is asked, and what each value has to be. */
export type QueryInput = Pick<Input, 'endpoint' | 'query' | 'above' | 'below' | 'equals'>;
/** Series that a query may give; a gate over more looks at something else than was meant. */
const seriesMax = 1_000;

/** `gate.prometheus`: an instant query of the HTTP API of Prometheus, and of whatever speaks it. */
export function prometheusGate(readEndpoints: ReadEndpoints, nowMs?: () => number): AnyAction {
  return gateAction<Input>(actions[name], (input, { signal }) => lookAtQuery(readEndpoints, input, signal), nowMs);
}

/** Whether every value of a query is as it has to be. Reads only. Throws what `ask` throws. */
export async function lookAtQuery(readEndpoints: ReadEndpoints, input: QueryInput, signal: AbortSignal): Promise<Look> {
  const query = new URLSearchParams({ query: input.query, timeout: '8s', limit: String(seriesMax + 1) });
  const response = await ask(readEndpoints, { action: name, endpoint: input.endpoint }, `/api/v1/query?${query.toString()}`, signal);
  return judge(input, parseJson(await response.text()), statusTrouble(response));
}

const shut = (reason: string): Look => ({ open: false, reason });

/** Prometheus HTTP API, expression queries: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries */
function judge(condition: QueryInput, answer: unknown, trouble: string | undefined): Look {
  if (!isObject(answer)) return shut(trouble ?? 'the answer is no JSON');
  if (answer.status !== 'success') return shut(`Prometheus says ${textOf(answer.error) || (trouble ?? 'nothing of use')}`);
  if (trouble !== undefined) return shut(trouble);
  if (Array.isArray(answer.warnings) && answer.warnings.length > 0) return shut(`Prometheus warns: ${textOf(answer.warnings[0])}`);
  const { resultType, result } = isObject(answer.data) ? answer.data : {};
  const samples = resultType === 'scalar' ? [{ metric: {}, value: result ?? null }] : resultType === 'vector' ? result : undefined;
  if (!Array.isArray(samples)) return shut(`the query gives ${textOf(resultType) || 'nothing that is known'}, not values of now`);
  if (samples.length === 0) return shut('the query gives no value');
  if (samples.length > seriesMax) return shut(`the query gives more than ${seriesMax} values`);
  const wrong = samples.find((sample) => !holds(condition, valueOf(sample)));
  if (wrong !== undefined) return shut(`${seriesOf(wrong)} is ${textOf(rawOf(wrong)) || 'no value'}, not ${inWords(condition)}`);
  const [first] = samples;
  const which = samples.length === 1 ? `${seriesOf(first)} is ${textOf(rawOf(first))},` : `all ${samples.length} values are`;
  return { open: true, reason: `${which} ${inWords(condition)}` };
}

/** The value of a sample, written as a text: NaN and what is no number compare with nothing. */
function valueOf(sample: Json | undefined): number {
  const raw = rawOf(sample);
  if (raw === '+Inf') return Infinity;
  if (raw === '-Inf') return -Infinity;
  return typeof raw === 'string' && raw !== '' ? Number(raw) : NaN;
}

function rawOf(sample: Json | undefined): Json | undefined {
  const value = isObject(sample) ? sample.value : undefined;
  return Array.isArray(value) ? value[1] : undefined;
}

function seriesOf(sample: Json | undefined): string {
  const metric = isObject(sample) && isObject(sample.metric) ? sample.metric : {};
  const labels = Object.entries(metric).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return labels.length === 0 ? 'the value' : `{${labels.join(', ')}}`;
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
