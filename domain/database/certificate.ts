import { instanceOf, planAgain, replacement, type Database } from './database.ts';

/** What a signed change of the authority of a certificate rests on. */
export type CertificateFacts = {
  databaseResourceId: string;
  instance: { name: string; resourceId: string };
  from: string;
  to: string;
  /** Whether the engine version must restart for another certificate. */
  restarts: boolean;
};

/** How such a change stands. `begun`: whether one may be under way. */
export type CertificateStanding =
  | { state: 'done'; summary: string }
  | { state: 'todo' | 'moving'; summary: string; begun: boolean }
  | { state: 'stuck'; reason: string; remedy: string };

const authoritySetting = 'CACertificateIdentifier';

/** How a planned change stands: it is over where the instance has the authority, is available, and it waits for nothing. Pure. */
export function certificateStanding(facts: CertificateFacts, database: Database): CertificateStanding {
  const { name, resourceId } = facts.instance;
  const otherCluster = replacement(database, facts.databaseResourceId);
  if (otherCluster) return { state: 'stuck', ...otherCluster };
  const instance = instanceOf(database, name);
  if (instance?.resourceId !== resourceId) {
    const reason = `Instance ${name} is ${instance ? 'another one of its name' : 'no instance of the cluster any more'}.`;
    return { state: 'stuck', reason, remedy: planAgain };
  }
  const { certificateAuthority, status, pendingChanges, isWriter } = instance;
  if (pendingChanges.includes(authoritySetting)) {
    return { state: 'moving', summary: `${name} is ${status}; its certificate is being changed`, begun: true };
  }
  if (status !== 'available') return { state: 'moving', summary: `${name} is ${status}`, begun: true };
  if (certificateAuthority === facts.to) return { state: 'done', summary: `${name} has a certificate of ${facts.to}` };
  if (certificateAuthority !== facts.from) {
    const reason = `${name} has a certificate of ${certificateAuthority}, neither of ${facts.from} as it was planned nor of ${facts.to}.`;
    return { state: 'stuck', reason, remedy: planAgain };
  }
  if (isWriter && facts.restarts) {
    const reason = `${name} has become the writer, and restarts for another certificate: writes would be refused.`;
    return { state: 'stuck', reason, remedy: 'Fail over to a reader first, then try again (`holdpoint retry`), or abort the run.' };
  }
  return { state: 'todo', summary: `${name} has a certificate of ${certificateAuthority}`, begun: false };
}
