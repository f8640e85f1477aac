import { defineCheck, objectText, type Check, type Found } from './finding.ts';
import { isWhollyRemoved, removalOf } from './removed-apis.ts';
import type { WrittenVersion } from './snapshot.ts';

const guide = 'https://kubernetes.io/docs/reference/using-api/deprecation-guide/';

const lastApplied = defineCheck({
  name: 'removed-api',
  title: 'An object was last applied in an API version that is gone in the version',
  severity: 'error',
  source: guide,
  reads: ['written'],
  find: ({ written }, { toVersion }) =>
    gone(written, toVersion, 'Change its manifest to that version: the next `kubectl apply` of the old one fails.'),
});

const helm = defineCheck({
  name: 'helm-release-api',
  title: 'A Helm release holds an object in an API version that is gone in the version',
  severity: 'error',
  source: 'https://helm.sh/docs/topics/kubernetes_apis/',
  reads: ['helmReleases'],
  find: ({ helmReleases }, { toVersion }) =>
    gone(helmReleases, toVersion, 'Upgrade the chart, or map the release (`helm mapkubeapis`): the next `helm upgrade` fails.'),
});

const webhookRules = defineCheck({
  name: 'webhook-api',
  title: 'The rules of an admission webhook name only API versions that are gone in the version',
  severity: 'warning',
  source: guide,
  reads: ['webhooks'],
  find: ({ webhooks }, { toVersion }) =>
    webhooks.flatMap(({ configuration, name, rules }) => {
      const versions = rules.filter(
        ({ apiVersions }) => apiVersions.length > 0 && apiVersions.every((one) => isWhollyRemoved(one, toVersion)),
      );
      if (versions.length === 0) return [];
      const list = [...new Set(versions.flatMap(({ apiVersions }) => apiVersions))].join(', ');
      const why = `A rule of ${name} is for ${list} only, which ${toVersion} does not serve: it may never be asked.`;
      return [{ object: objectText(configuration), severity: 'warning', why, remedy: 'Name the present API version in the rule.' }];
    }),
});

const customKinds = defineCheck({
  name: 'custom-kind-versions',
  title: 'Objects of a custom kind are stored in a version that is not served any more',
  severity: 'warning',
  source: 'https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/',
  reads: ['customKinds'],
  find: ({ customKinds: all }) =>
    all.flatMap(({ name, stored, served }) => {
      const lost = stored.filter((version) => !served.includes(version));
      if (lost.length === 0) return [];
      const why = `Objects may be stored in ${lost.join(', ')}, which it does not serve; its operator's next release may not read them.`;
      return [
        {
          object: `CustomResourceDefinition/${name}`,
          severity: 'warning',
          why,
          remedy: 'Have the objects written anew, and take the version out of status.storedVersions.',
        },
      ];
    }),
});

function gone(all: readonly WrittenVersion[], toVersion: string, remedy: string): Found[] {
  return all.flatMap((one) => {
    const removal = removalOf(one.apiVersion, one.kind, toVersion);
    if (!removal) return [];
    const why = `${one.where} has ${one.apiVersion} ${one.kind}, which is gone since ${removal.since}; ${removal.instead} takes its place.`;
    return [{ object: objectText(one), severity: 'error', why, remedy }];
  });
}

/** API versions that objects were written or are stored in. */
export const storedVersionChecks: readonly Check[] = [lastApplied, helm, webhookRules, customKinds];
