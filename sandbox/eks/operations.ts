import type { Account } from './account.ts';
import { addonAnswer, addonOf, addonVersions, updateAddon } from './addons.ts';
import { clusterAnswer, nodegroupAnswer, updateAnswer } from './answers.ts';
import { activateAuthority, createAuthority, deleteAuthority, describeAuthority, listAuthorities } from './certificate-authorities.ts';
import { cancelUpdate, updateClusterVersion } from './cluster-operations.ts';
import { describeInsight, describeRefresh, listInsights, startRefresh } from './insights.ts';
import { createNodegroup, deleteNodegroup, updateNodegroupConfig, updateNodegroupVersion } from './nodegroup-operations.ts';
import { pageOf } from './paging.ts';
import { listTags, tagResource, untagResource } from './tag-operations.ts';
import { amiReleases, supportOf } from './releases.ts';
import { findUpdate } from './updates.ts';
import type { Addon, Cluster, Nodegroup } from './model.ts';

/** A request that has been routed, and its region from the signature. */
export interface Call {
  account: Account;
  region: string;
  /** What stands at the `{places}` of the path. */
  path: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
}

export interface Operation {
  name: string;
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  /** A POST that changes nothing, as its filter is in its body. */
  reads?: true;
  /** Gives the body of the answer; throws EksError. */
  answer(call: Call): unknown;
}

/** The operations that the sandbox serves; methods and paths are those of the EKS API (2017-11-01). */
export const operations: Operation[] = [
  { name: 'ListClusters', method: 'GET', path: '/clusters', answer: listClusters },
  { name: 'DescribeCluster', method: 'GET', path: '/clusters/{clusterName}', answer: describeCluster },
  { name: 'UpdateClusterVersion', method: 'POST', path: '/clusters/{clusterName}/updates', answer: startClusterUpdate },
  { name: 'CancelUpdate', method: 'POST', path: '/clusters/{clusterName}/updates/{updateId}/cancel-update', answer: endUpdate },
  { name: 'ListUpdates', method: 'GET', path: '/clusters/{clusterName}/updates', answer: listUpdates },
  { name: 'DescribeUpdate', method: 'GET', path: '/clusters/{clusterName}/updates/{updateId}', answer: describeUpdate },
  {
    name: 'ListInsights',
    method: 'POST',
    path: '/clusters/{clusterName}/insights',
    reads: true,
    answer: (call) => listInsights(clusterOf(call), call.body),
  },
  {
    name: 'DescribeInsight',
    method: 'GET',
    path: '/clusters/{clusterName}/insights/{id}',
    answer: (call) => describeInsight(clusterOf(call), place(call, 'id')),
  },
  {
    name: 'StartInsightsRefresh',
    method: 'POST',
    path: '/clusters/{clusterName}/insights-refresh',
    answer: (call) => startRefresh(call.account, clusterOf(call)),
  },
  {
    name: 'DescribeInsightsRefresh',
    method: 'GET',
    path: '/clusters/{clusterName}/insights-refresh',
    answer: (call) => describeRefresh(clusterOf(call)),
  },
  {
    name: 'ListCertificateAuthorities',
    method: 'GET',
    path: '/clusters/{clusterName}/certificate-authorities',
    answer: (call) => listAuthorities(clusterOf(call), call.query),
  },
  {
    name: 'DescribeCertificateAuthority',
    method: 'GET',
    path: '/clusters/{clusterName}/certificate-authorities/{id}',
    answer: (call) => describeAuthority(call.account, clusterOf(call), place(call, 'id')),
  },
  {
    name: 'CreateCertificateAuthority',
    method: 'POST',
    path: '/clusters/{clusterName}/certificate-authorities',
    answer: (call) => createAuthority(call.account, clusterOf(call), call.body),
  },
  {
    name: 'ActivateCertificateAuthority',
    method: 'POST',
    path: '/clusters/{clusterName}/certificate-authorities/{id}/activate',
    answer: (call) => activateAuthority(call.account, clusterOf(call), place(call, 'id'), call.body),
  },
  {
    name: 'DeleteCertificateAuthority',
    method: 'DELETE',
    path: '/clusters/{clusterName}/certificate-authorities/{id}',
    answer: (call) => deleteAuthority(call.account, clusterOf(call), place(call, 'id')),
  },
  { name: 'DescribeClusterVersions', method: 'GET', path: '/cluster-versions', answer: clusterVersions },
  { name: 'DescribeAddonVersions', method: 'GET', path: '/addons/supported-versions', answer: ({ query }) => addonVersions(query) },
  { name: 'ListAddons', method: 'GET', path: '/clusters/{clusterName}/addons', answer: listAddons },
  {
    name: 'DescribeAddon',
    method: 'GET',
    path: '/clusters/{clusterName}/addons/{addonName}',
    answer: (call) => ({ addon: addonAnswer(clusterOf(call), addonOf(clusterOf(call), place(call, 'addonName'))) }),
  },
  {
    name: 'UpdateAddon',
    method: 'POST',
    path: '/clusters/{clusterName}/addons/{addonName}/update',
    answer: (call) => ({ update: updateAnswer(updateAddon(call.account, clusterOf(call), place(call, 'addonName'), call.body)) }),
  },
  { name: 'ListNodegroups', method: 'GET', path: '/clusters/{clusterName}/node-groups', answer: listNodegroups },
  { name: 'CreateNodegroup', method: 'POST', path: '/clusters/{clusterName}/node-groups', answer: startNodegroup },
  { name: 'DescribeNodegroup', method: 'GET', path: '/clusters/{clusterName}/node-groups/{nodegroupName}', answer: describeNodegroup },
  { name: 'DeleteNodegroup', method: 'DELETE', path: '/clusters/{clusterName}/node-groups/{nodegroupName}', answer: endNodegroup },
  {
    name: 'UpdateNodegroupConfig',
    method: 'POST',
    path: '/clusters/{clusterName}/node-groups/{nodegroupName}/update-config',
    answer: (call) => ({ update: updateAnswer(updateNodegroupConfig(call.account, nodegroupOf(call), call.body)) }),
  },
  {
    name: 'UpdateNodegroupVersion',
    method: 'POST',
    path: '/clusters/{clusterName}/node-groups/{nodegroupName}/update-version',
    answer: (call) => ({ update: updateAnswer(updateNodegroupVersion(call.account, nodegroupOf(call), call.body)) }),
  },
  { name: 'ListTagsForResource', method: 'GET', path: '/tags/{arn}', answer: (call) => listTags(call.account, place(call, 'arn')) },
  { name: 'TagResource', method: 'POST', path: '/tags/{arn}', answer: (call) => tagResource(call.account, place(call, 'arn'), call.body) },
  {
    name: 'UntagResource',
    method: 'DELETE',
    path: '/tags/{arn}',
    answer: (call) => untagResource(call.account, place(call, 'arn'), call.query.getAll('tagKeys')),
  },
];

function place(call: Call, name: string): string {
  return call.path[name] ?? '';
}

function clusterOf(call: Call): Cluster {
  return call.account.cluster(call.region, place(call, 'clusterName'));
}

function nodegroupOf(call: Call): Nodegroup {
  return call.account.nodegroup(call.region, place(call, 'clusterName'), place(call, 'nodegroupName'));
}

function listClusters(call: Call): unknown {
  const names = call.account.clustersIn(call.region).map((cluster) => cluster.name);
  const { page, nextToken } = pageOf(names, call.query);
  return { clusters: page, nextToken };
}

function listAddons(call: Call): unknown {
  const { page, nextToken } = pageOf([...clusterOf(call).addons.keys()], call.query);
  return { addons: page, nextToken };
}

function listNodegroups(call: Call): unknown {
  const { page, nextToken } = pageOf([...clusterOf(call).nodegroups.keys()], call.query);
  return { nodegroups: page, nextToken };
}

/** EKS promises no order of updates, so none can be relied upon here: they come by id. */
function listUpdates(call: Call): unknown {
  const { page, nextToken } = pageOf(
    updateOwnerOf(call).updates.map((update) => update.id),
    call.query,
  );
  return { updateIds: page, nextToken };
}

function describeUpdate(call: Call): unknown {
  return { update: updateAnswer(findUpdate(updateOwnerOf(call), place(call, 'updateId'))) };
}

function endUpdate(call: Call): unknown {
  const cluster = clusterOf(call);
  return { update: updateAnswer(cancelUpdate(cluster, findUpdate(cluster, place(call, 'updateId')))) };
}

function updateOwnerOf(call: Call): Cluster | Nodegroup | Addon {
  const nodegroupName = call.query.get('nodegroupName');
  const addonName = call.query.get('addonName');
  const cluster = clusterOf(call);
  if (addonName !== null) return addonOf(cluster, addonName);
  return nodegroupName === null ? cluster : call.account.nodegroup(call.region, cluster.name, nodegroupName);
}

function describeCluster(call: Call): unknown {
  return { cluster: clusterAnswer(clusterOf(call)) };
}

function startClusterUpdate(call: Call): unknown {
  return { update: updateAnswer(updateClusterVersion(call.account, clusterOf(call), call.body)) };
}

function describeNodegroup(call: Call): unknown {
  return answerOf(call, nodegroupOf(call));
}

function startNodegroup(call: Call): unknown {
  return answerOf(call, createNodegroup(call.account, clusterOf(call), call.body));
}

function endNodegroup(call: Call): unknown {
  const nodegroup = nodegroupOf(call);
  deleteNodegroup(call.account, nodegroup);
  return answerOf(call, nodegroup);
}

function answerOf(call: Call, nodegroup: Nodegroup): unknown {
  return { nodegroup: nodegroupAnswer(nodegroup, call.account.issuesOf(nodegroup)) };
}

/** DescribeClusterVersions, for those that are asked for. */
function clusterVersions({ account, query }: Call): object {
  const asked = query.getAll('clusterVersions');
  const versions = Object.keys(amiReleases).filter((version) => asked.length === 0 || asked.includes(version));
  const { page, nextToken } = pageOf(versions, query);
  return { clusterVersions: page.map((version) => supportOf(version, account.madeAt)), nextToken };
}
