import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { activateCertificateAuthorityAction } from './certificate-authority/activate.ts';
import { createCertificateAuthorityAction } from './certificate-authority/create.ts';
import { deleteCertificateAuthorityAction } from './certificate-authority/delete.ts';
import { bakeAction } from './bake/bake.ts';
import { updateAddonAction } from './addon/update-addon.ts';
import { rollbackControlPlaneAction, updateControlPlaneAction } from './control-plane/change-version.ts';
import { refreshInsightsAction } from './control-plane/refresh-insights.ts';
import { createNodegroupAction } from './nodegroup/create.ts';
import { deleteNodegroupAction } from './nodegroup/delete.ts';
import { updateNodegroupVersionAction } from './nodegroup/update-version.ts';
import { preflightAction } from './preflight.ts';

/** EKS through the API of AWS. What its actions do to nodes is marked, and released, as Kubernetes does it. */
export function eksSystem(clients: Clients): System {
  return {
    name: 'eks',
    actions: [
      preflightAction(clients),
      createNodegroupAction(clients),
      deleteNodegroupAction(clients),
      updateNodegroupVersionAction(clients),
      refreshInsightsAction(clients),
      updateControlPlaneAction(clients),
      rollbackControlPlaneAction(clients),
      createCertificateAuthorityAction(clients),
      activateCertificateAuthorityAction(clients),
      deleteCertificateAuthorityAction(clients),
      updateAddonAction(clients),
      bakeAction(clients),
    ],
  };
}
