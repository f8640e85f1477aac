/** An Aurora cluster as it stands when the world starts. */
export interface DatabaseSeed {
  name: string;
  /** AWS region, e.g. `eu-central-1`. */
  region: string;
  engine: 'aurora-postgresql' | 'aurora-mysql';
  engineVersion: string;
  /** Whether RDS refuses to delete it; true if left out. */
  isProtected?: boolean;
  /** The first one is the writer. */
  instances: DatabaseInstanceSeed[];
}

/** An instance of an Aurora cluster as it stands when the world starts. */
export interface DatabaseInstanceSeed {
  name: string;
  /** e.g. `db.r6g.large`. */
  instanceClass: string;
  zone: string;
  /** 0 to 15; 1 if left out. */
  promotionTier?: number;
  /** What CloudWatch says of it as a reader; 15 if left out. */
  lagMs?: number;
}

/** An instance as RDS keeps it. */
export interface DatabaseInstance extends Required<Omit<DatabaseInstanceSeed, 'lagMs'>> {
  resourceId: string;
  /** `available`, `modifying`, `rebooting` and many more. */
  status: string;
  engineVersion: string;
  /** Whether it runs with the parameters of its group: `in-sync` or `pending-reboot`. */
  parameterGroupStatus: string;
  certificateAuthority: string;
  /** What waits for the maintenance window, by the names of the API. */
  pendingModifiedValues: Record<string, string>;
  /** Undefined where CloudWatch has no value of it. */
  lagMs: number | undefined;
}

/** A snapshot of a cluster, as RDS keeps it. */
export interface DatabaseSnapshot {
  name: string;
  /** `creating`, `available`, `failed`. */
  status: string;
  percent: number;
  createdAt: Date;
  engineVersion: string;
  tags: Record<string, string>;
  /** Of the cluster that it is of, where that is gone. */
  resourceId?: string;
}

/** Something that AWS wants to do to a cluster or an instance. */
export interface PendingMaintenance {
  /** Name of the cluster or of one of its instances. */
  resource: string;
  action: string;
  description: string;
  /** When it will be done; undefined as long as nobody has chosen a time. */
  currentApplyDate?: Date;
}

/** What RDS tells of a cluster or of an instance, in text: its events have no ids. */
export interface DatabaseEvent {
  source: string;
  sourceType: 'db-cluster' | 'db-instance';
  message: string;
  categories: string[];
  at: Date;
}

/** A failover that RDS has accepted. */
export interface AcceptedFailover {
  at: Date;
  from: string;
  /** The instance that was asked for; undefined where RDS was to choose. */
  asked: string | undefined;
  /** The instance that RDS promotes. */
  to: string;
}

/** How the next failover goes, where it does not go as it was asked for. */
export type FailoverTwist =
  /** RDS promotes another instance than the one that was asked for. */
  | { kind: 'promotes'; instance: string }
  /** RDS gives up after it has begun, and the writer stays. */
  | { kind: 'fails' }
  /** RDS gives up after it has begun, and promotes the previous writer again. */
  | { kind: 'returns' }
  /** The members change, and no event ever says so. */
  | { kind: 'goes-untold' };

/** Real servers behind the instances: what RDS does to an instance is done to its server, too. */
export interface DatabaseServers {
  /** Ends a server; what it has written is with the others. */
  stop(instance: string): Promise<void>;
  /** Makes a reader the writer, and has the cluster endpoint lead to it. */
  promote(instance: string): Promise<void>;
  /** Has a server that was ended come back as a reader. */
  follow(instance: string): Promise<void>;
}

/** A request that RDS refuses: the code and the message that go over the wire. */
export class DatabaseFault extends Error {
  override readonly name = 'DatabaseFault';
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}
