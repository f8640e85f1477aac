import { DescribeInsightCommand, ListInsightsCommand, type Category, type Insight } from '@aws-sdk/client-eks';
import { firstNames } from '../../../domain/text.ts';
import type { Target } from '../../../domain/target.ts';
import type { Blocker, Risk } from '../../../domain/plan/plan.ts';
import { cut } from '../../../domain/visible.ts';
import type { Clients } from '../../clients.ts';
import { awsError, messageCharactersMax, withoutFullStop } from '../../failure.ts';
import { inParallel } from '../../kubernetes/client/read.ts';
import { listAllOf, pageSize } from '../../aws-pages.ts';

/** Objects and clients that are named of one insight. */
const shownMax = 5;

/** What EKS finds about going to a version, and does not let pass: ERROR, or something that may be wrong: WARNING and UNKNOWN. */
export interface Insights {
  errors: Insight[];
  warnings: Insight[];
  /** What is in order, without its details. */
  passing: Insight[];
}

/** What EKS finds about going to a version, with all that it says of what speaks against it. Reads only. Throws `aws-…` errors. */
export async function readInsights(clients: Clients, target: Target, category: Category, version: string): Promise<Insights> {
  const eks = clients.eks(target.region);
  const listed = await listAllOf('ListInsights', target, async (nextToken) => {
    const filter = { categories: [category], kubernetesVersions: [version] };
    const answer = await eks.send(new ListInsightsCommand({ clusterName: target.name, filter, maxResults: pageSize, nextToken }));
    return { items: answer.insights, nextToken: answer.nextToken };
  });
  const found = listed.filter(({ insightStatus }) => insightStatus?.status !== 'PASSING');
  try {
    const insights = await inParallel(found, async ({ id, ...summary }) => {
      const { insight } = await eks.send(new DescribeInsightCommand({ clusterName: target.name, id }));
      return insight ?? { id, ...summary };
    });
    const errors = insights.filter(({ insightStatus }) => insightStatus?.status === 'ERROR');
    const passing = listed.filter(({ insightStatus }) => insightStatus?.status === 'PASSING');
    return { errors, warnings: insights.filter((insight) => !errors.includes(insight)), passing };
  } catch (error) {
    throw awsError(error, 'DescribeInsight', target);
  }
}

/** The name of an insight, by which it can be waived. */
export function insightName({ name, id }: Insight): string {
  return name ?? id ?? 'an insight without a name';
}

/** An insight that stands in the way. */
export function insightBlocker(insight: Insight): Blocker {
  const { recommendation } = insight;
  const mend = recommendation === undefined ? 'Put right what it names' : withoutFullStop(cut(recommendation, messageCharactersMax));
  const remedy = `${mend}; then have EKS look again (\`eks.refreshInsights\`). People can sign to go past it: name it in \`waive\`.`;
  return { object: `Insight/${insightName(insight)}`, reason: `EKS finds: ${findingOf(insight)}`, remedy };
}

/** An insight that people go past by signing. */
export function insightRisk(insight: Insight, reason: string): Risk {
  return {
    object: `Insight/${insightName(insight)}`,
    risk: `EKS finds that this version is not safe to go to. It is waived: ${withoutFullStop(reason)}.`,
    detail: findingOf(insight),
    ...(insight.recommendation !== undefined && { remedy: cut(insight.recommendation, messageCharactersMax) }),
  };
}

/** What EKS has found, with the objects and the clients that it names. */
export function findingOf({ description, insightStatus, resources = [], categorySpecificSummary }: Insight): string {
  const text = cut(insightStatus?.reason ?? description ?? 'it gives no reason', messageCharactersMax);
  const objects = firstNames(resources.map(({ kubernetesResourceUri, arn }) => kubernetesResourceUri ?? arn ?? ''));
  const usages = (categorySpecificSummary?.deprecationDetails ?? []).map(
    ({ usage, replacedWith, stopServingVersion, clientStats = [] }) => {
      const clients = clientStats.map(
        ({ userAgent, lastRequestTime }) => `${userAgent ?? 'unknown'} (last ${lastRequestTime?.toISOString() ?? '?'})`,
      );
      const by = clients.length === 0 ? '' : `, called by ${firstNames(clients)}`;
      return `${usage ?? 'an API'} is gone in ${stopServingVersion ?? 'it'}, ${replacedWith ?? 'another one'} takes its place${by}`;
    },
  );
  return [withoutFullStop(text), ...(objects === '' ? [] : [`objects: ${objects}`]), ...usages.slice(0, shownMax)].join('; ') + '.';
}
