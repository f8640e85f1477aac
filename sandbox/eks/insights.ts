import type { InsightSeed } from '../seed.ts';
import type { Account } from './account.ts';
import { invalidRequest, resourceNotFound } from './errors.ts';
import type { Cluster, Insight } from './model.ts';
import { pageOf } from './paging.ts';
import { listInsightsBody, readBody } from './requests.ts';
import { pause } from './waiting.ts';

/** Simulated time that a refresh takes: EKS says some minutes. */
const refreshMs = [60_000, 180_000] as const;

/** Gives a cluster the insights of its seed, as EKS found them at that time. */
export function insightsOf(seeds: readonly InsightSeed[], id: () => string, at: Date): Insight[] {
  return seeds.map((seed) => ({ ...seed, id: id(), refreshedAt: at, changedAt: at }));
}

/** ListInsights: those that the filter lets through, a page at a time. */
export function listInsights(cluster: Cluster, body: unknown): object {
  const { filter, nextToken, maxResults } = readBody(listInsightsBody, body, { clusterName: cluster.name });
  const lets = (allowed: readonly string[] | undefined, value: string): boolean => allowed === undefined || allowed.includes(value);
  const chosen = cluster.insights.filter(
    ({ category, kubernetesVersion, status }) =>
      lets(filter?.categories, category) && lets(filter?.kubernetesVersions, kubernetesVersion) && lets(filter?.statuses, status),
  );
  const query = new URLSearchParams({ ...(nextToken && { nextToken }), ...(maxResults && { maxResults: String(maxResults) }) });
  const { page, nextToken: next } = pageOf(
    chosen.map(({ id }) => id),
    query,
  );
  return { insights: chosen.filter(({ id }) => page.includes(id)).map(summaryOf), nextToken: next };
}

/** @throws EksError ResourceNotFoundException. */
export function describeInsight(cluster: Cluster, id: string): object {
  const insight = cluster.insights.find((candidate) => candidate.id === id);
  if (!insight) throw resourceNotFound(`No insight found for ID: ${id}`, { clusterName: cluster.name });
  const { recommendation, resources, deprecations } = insight;
  return {
    insight: {
      ...summaryOf(insight),
      recommendation,
      resources: resources.map((kubernetesResourceUri) => ({ kubernetesResourceUri, insightStatus: { status: insight.status } })),
      categorySpecificSummary: {
        deprecationDetails: deprecations.map(({ clients, ...detail }) => ({
          ...detail,
          clientStats: clients.map(({ lastRequestAt, ...client }) => ({ ...client, lastRequestTime: lastRequestAt.getTime() / 1000 })),
        })),
      },
    },
  };
}

/**
 * Looks at everything anew; what the world's owner has put right since is then seen.
 * @throws EksError InvalidRequestException while one is on its way.
 */
export function startRefresh(account: Account, cluster: Cluster): object {
  if (cluster.insightsRefresh?.status === 'IN_PROGRESS') {
    throw invalidRequest('An insights refresh is already in progress', { clusterName: cluster.name });
  }
  const { clock, random } = account.world;
  const refresh: NonNullable<Cluster['insightsRefresh']> = { status: 'IN_PROGRESS', startedAt: clock.now() };
  cluster.insightsRefresh = refresh;
  const chance = random.stream(`eks/insights/${cluster.name}/${refresh.startedAt.getTime()}`);
  void pause(clock, chance.between(...refreshMs)).then(() => {
    const now = clock.now();
    for (const insight of cluster.insights) {
      const status = insight.afterRefresh ?? insight.status;
      if (status !== insight.status) Object.assign(insight, { status, changedAt: now });
      insight.refreshedAt = now;
    }
    Object.assign(refresh, { status: 'COMPLETED', endedAt: now });
  });
  return { message: 'The refresh has begun', status: refresh.status };
}

/** The refresh that was begun last. */
export function describeRefresh({ insightsRefresh }: Cluster): object {
  if (!insightsRefresh) return {};
  const { status, startedAt, endedAt } = insightsRefresh;
  return { status, startedAt: startedAt.getTime() / 1000, ...(endedAt && { endedAt: endedAt.getTime() / 1000 }) };
}

/** Whether an insight speaks against going to a version. */
export function blocks({ category, kubernetesVersion, status }: Insight, wanted: Insight['category'], version: string): boolean {
  return category === wanted && kubernetesVersion === version && status === 'ERROR';
}

function summaryOf({ id, name, category, kubernetesVersion, status, reason, description, refreshedAt, changedAt }: Insight): object {
  return {
    id,
    name,
    category,
    kubernetesVersion,
    description,
    lastRefreshTime: refreshedAt.getTime() / 1000,
    lastTransitionTime: changedAt.getTime() / 1000,
    insightStatus: { status, reason },
  };
}
