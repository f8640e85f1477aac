import type { Random } from '../random.ts';
import type { ClusterSeed } from '../seed.ts';
import type { Account } from './account.ts';
import { invalidParameter, limitExceeded, resourceInUse, resourceNotFound } from './errors.ts';
import type { CertificateAuthority, Cluster, Update } from './model.ts';
import { pageOf } from './paging.ts';
import { certificateAuthorityBody, readBody } from './requests.ts';
import { addUpdate, refuseDuringClusterUpdate, updateInFlight } from './updates.ts';
import { pause } from './waiting.ts';

const dayMs = 86_400_000;
/** The authorities of EKS are valid for ten years. */
const validMs = 3_650 * dayMs;
/** EKS tells these moments of each authority; how they follow from its validity, and how long a rollback is available, it does not say. */
const firstActivationBeforeEndMs = 180 * dayMs;
const finalActivationBeforeEndMs = 30 * dayMs;
const rollbackMs = 7 * dayMs;
/** Simulated time that the distribution of a new one, an activation and a deletion take. */
const distributionMs = [6 * 60_000, 9 * 60_000] as const;
const changeMs = [60_000, 180_000] as const;
/** One that signs and one more (CreateCertificateAuthority). */
const authoritiesMax = 2;

/** The authority that EKS makes with a cluster. */
export function firstAuthority(random: Random, at: Date, { certificateAuthorityId }: ClusterSeed): CertificateAuthority {
  const made = newAuthority(random, at, 'EKS');
  const id = certificateAuthorityId ?? made.id;
  return { ...made, id, activatedAt: at, activatedBy: 'EKS', signingStatus: 'IN_USE', distributionStatus: 'COMPLETE' };
}

/** Certificates of all authorities that a cluster trusts, as its kubeconfigs carry them. */
export function trustBundle({ certificateAuthorities }: Cluster): string {
  const texts = certificateAuthorities.map(({ data }) => Buffer.from(data, 'base64').toString());
  return Buffer.from(texts.join('')).toString('base64');
}

/** ListCertificateAuthorities. */
export function listAuthorities(cluster: Cluster, query: URLSearchParams): object {
  const ids = cluster.certificateAuthorities.map(({ id }) => id);
  const { page, nextToken } = pageOf(ids, query);
  return { certificateAuthorities: cluster.certificateAuthorities.filter(({ id }) => page.includes(id)).map(summaryOf), nextToken };
}

/** DescribeCertificateAuthority. Throws EksError ResourceNotFoundException. */
export function describeAuthority(account: Account, cluster: Cluster, id: string): object {
  const authority = find(cluster, id);
  const end = signerOf(cluster)?.notAfter.getTime() ?? 0;
  const now = account.world.clock.now();
  const scheduledEvents = authority.activatedAt === undefined && {
    scheduledEvents: {
      firstAutoActivation: (end - firstActivationBeforeEndMs) / 1000,
      finalAutoActivation: (end - finalActivationBeforeEndMs) / 1000,
    },
  };
  return {
    certificateAuthority: {
      ...summaryOf(authority),
      validity: { notBefore: authority.notBefore.getTime() / 1000, notAfter: authority.notAfter.getTime() / 1000 },
      ...scheduledEvents,
      rollbackAvailable: authority.rollbackUntil !== undefined && now < authority.rollbackUntil,
      data: authority.data,
    },
  };
}

/**
 * CreateCertificateAuthority: a successor that is trusted besides the one that signs. While a control plane update of the cluster
 * runs, it is refused.
 * @throws EksError ResourceInUseException, ResourceLimitExceededException.
 */
export function createAuthority(account: Account, cluster: Cluster, body: unknown): object {
  readBody(certificateAuthorityBody, body, { clusterName: cluster.name });
  refuseDuringClusterUpdate(cluster, 'CertificateAuthorityUpdate');
  if (cluster.certificateAuthorities.length >= authoritiesMax) {
    const message = `Cluster ${cluster.name} has ${authoritiesMax} certificate authorities already, which is the limit`;
    throw limitExceeded(message, { clusterName: cluster.name });
  }
  cluster.authoritiesMade += 1;
  const { clock, random } = account.world;
  const chance = random.stream(`eks/certificate-authority/${cluster.name}/${cluster.authoritiesMade}`);
  const authority = newAuthority(chance, clock.now(), 'CUSTOMER');
  cluster.certificateAuthorities.push(authority);
  const update = begin(account, cluster, authority, {}, chance.between(...distributionMs), (failed) => {
    authority.distributionStatus = failed ? 'FAILED' : 'COMPLETE';
  });
  return { update, certificateAuthority: summaryOf(authority) };
}

/**
 * ActivateCertificateAuthority: the successor signs from now on; or, for as long as a rollback is available, the one before it again.
 * @throws EksError ResourceNotFoundException, InvalidParameterException (the API names no ResourceInUseException here).
 */
export function activateAuthority(account: Account, cluster: Cluster, id: string, body: unknown): object {
  const subject = { clusterName: cluster.name };
  readBody(certificateAuthorityBody, body, subject);
  const authority = find(cluster, id);
  const inFlight = updateInFlight(cluster);
  if (inFlight) throw invalidParameter(`Cluster ${cluster.name} currently has update ${inFlight.id} in progress`, subject);
  if (authority.signingStatus === 'IN_USE') throw invalidParameter(`Certificate authority ${id} is in use already`, subject);
  if (authority.distributionStatus !== 'COMPLETE') {
    throw invalidParameter(
      `The distribution status of certificate authority ${id} is ${authority.distributionStatus}, not COMPLETE`,
      subject,
    );
  }
  const { clock, random } = account.world;
  const signer = signerOf(cluster);
  const isBack = signer !== undefined && authority.createdAt < signer.createdAt;
  if (isBack && !(authority.rollbackUntil !== undefined && clock.now() < authority.rollbackUntil)) {
    throw invalidParameter(`Rollback to certificate authority ${id} is not available`, subject);
  }
  authority.signingStatus = 'ACTIVATING';
  const chance = random.stream(`eks/activate/${id}/${cluster.updates.length}`);
  const params = { ActiveCertificateAuthority: id, SigningStatus: 'IN_USE' };
  const update = begin(account, cluster, authority, params, chance.between(...changeMs), (failed) => {
    authority.signingStatus = failed ? 'NOT_USED' : 'IN_USE';
    if (failed) return;
    const now = clock.now();
    Object.assign(authority, { activatedAt: now, activatedBy: 'CUSTOMER' });
    delete authority.rollbackUntil;
    if (!signer) return;
    signer.signingStatus = 'NOT_USED';
    if (!isBack) signer.rollbackUntil = new Date(now.getTime() + rollbackMs);
  });
  return { update, certificateAuthority: summaryOf(authority) };
}

/**
 * DeleteCertificateAuthority: its certificate leaves the trust bundle.
 * @throws EksError ResourceNotFoundException, ResourceInUseException, InvalidParameterException.
 */
export function deleteAuthority(account: Account, cluster: Cluster, id: string): object {
  const subject = { clusterName: cluster.name };
  const authority = find(cluster, id);
  refuseDuringClusterUpdate(cluster, 'CertificateAuthorityUpdate');
  if (authority.signingStatus !== 'NOT_USED') throw resourceInUse(`Certificate authority ${id} signs certificates`, subject);
  const others = cluster.certificateAuthorities.filter((other) => other !== authority && other.signingStatus === 'NOT_USED');
  if (authority.createdBy === 'EKS' && authority.activatedAt === undefined && others.length === 0) {
    throw invalidParameter(`Certificate authority ${id} is the only successor, which EKS has appended, so it cannot be deleted`, subject);
  }
  const before = authority.distributionStatus;
  authority.distributionStatus = 'DELETING';
  const chance = account.world.random.stream(`eks/delete/${id}/${cluster.updates.length}`);
  const update = begin(account, cluster, authority, {}, chance.between(...changeMs), (failed) => {
    if (failed) authority.distributionStatus = before;
    else cluster.certificateAuthorities = cluster.certificateAuthorities.filter((other) => other !== authority);
  });
  return { update, certificateAuthority: summaryOf(authority) };
}

/** An update of the authorities of a cluster; `end` is called when its time is over. */
function begin(
  { world: { clock, random } }: Account,
  cluster: Cluster,
  { id }: CertificateAuthority,
  params: Record<string, string>,
  durationMs: number,
  end: (failed: boolean) => void,
): object {
  const update: Update = addUpdate(cluster, {
    id: random.stream(`eks/update/${cluster.name}/${id}/${cluster.updates.length}`).uuid(),
    type: 'CertificateAuthorityUpdate',
    params: { CertificateAuthorityId: id, ...params },
    at: clock.now(),
  });
  cluster.status = 'UPDATING';
  void pause(clock, durationMs).then(() => {
    const failure = cluster.failsUpdates;
    cluster.status = 'ACTIVE';
    end(failure !== undefined);
    Object.assign(update, failure ? { status: 'Failed', errors: [failure] } : { status: 'Successful' });
  });
  return { ...update, createdAt: update.createdAt.getTime() / 1000 };
}

function newAuthority(random: Random, at: Date, createdBy: CertificateAuthority['createdBy']): CertificateAuthority {
  const certificate = Buffer.from(random.text(48)).toString('base64');
  const pem = `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`;
  return {
    id: random.uuid(),
    createdAt: at,
    createdBy,
    signingStatus: 'NOT_USED',
    distributionStatus: 'IN_PROGRESS',
    notBefore: at,
    notAfter: new Date(at.getTime() + validMs),
    data: Buffer.from(pem).toString('base64'),
  };
}

function signerOf({ certificateAuthorities }: Cluster): CertificateAuthority | undefined {
  return certificateAuthorities.find(({ signingStatus }) => signingStatus === 'IN_USE');
}

function find(cluster: Cluster, id: string): CertificateAuthority {
  const authority = cluster.certificateAuthorities.find((candidate) => candidate.id === id);
  if (!authority) throw resourceNotFound(`No certificate authority found for ID: ${id}`, { clusterName: cluster.name });
  return authority;
}

function summaryOf({
  id,
  createdAt,
  createdBy,
  activatedAt,
  activatedBy,
  signingStatus,
  distributionStatus,
}: CertificateAuthority): object {
  return {
    id,
    createdAt: createdAt.getTime() / 1000,
    createdBy,
    ...(activatedAt && { activatedAt: activatedAt.getTime() / 1000, activatedBy }),
    signingStatus,
    distributionStatus,
  };
}
