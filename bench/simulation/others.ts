import { DescribeNodegroupCommand, ListNodegroupsCommand, UpdateNodegroupVersionCommand, type EKSClient } from '@aws-sdk/client-eks';
import type { Actor } from '../../sandbox/kubernetes/store.ts';
import type { Violation } from '../../sandbox/observer.ts';
import type { Deed } from './circumstances.ts';
import type { SimulatedCloud } from './environment.ts';
import { PassingTrouble } from './passing-trouble.ts';
import type { SimulatedTarget } from './world.ts';

const cordonMark = 'holdpoint.dev/cordon';
/** How somebody else appears in the cluster. */
const kubectl: Actor = { part: 'client', name: 'kubectl', verb: 'update' };
const replicasMin = 2;
/** Nodes that must stay open to pods, so that those of the others find room. */
const openNodesMin = 4;
const scaleUpShare = 0.7;
/** How often somebody begins the very update that the run is to bring. */
const sameUpdateShare = 0.7;

/** Somebody else who works on the cluster of a run, with as much right to it. */
export class Others {
  /** What they have done, for people. */
  readonly told: string[] = [];
  /** Nodes that they have cordoned by hand, and leave so. */
  readonly cordoned = new Set<string>();
  /** Node groups that they have had updated. */
  readonly updated = new Set<string>();
  /** Budgets (`namespace/name`) that they have made tighter, or whose pods they have made more or fewer. */
  private readonly strained = new Set<string>();
  private readonly sandbox: SimulatedCloud;
  private readonly simulated: SimulatedTarget;
  private readonly eks: EKSClient;
  /** How to end what passes by itself. */
  private readonly passing = new PassingTrouble();
  private isStorm = false;

  constructor(sandbox: SimulatedCloud, simulated: SimulatedTarget, eks: EKSClient) {
    this.sandbox = sandbox;
    this.simulated = simulated;
    this.eks = eks;
  }

  /** Does it, as far as there is anything to do it to. Returns false where the moment does not suit: then it is tried again later. */
  async act({ kind, choice, forMs }: Deed): Promise<boolean> {
    switch (kind) {
      case 'cordon':
        this.cordon(choice);
        return true;
      case 'uncordon':
        return this.uncordon(choice);
      case 'scale':
        this.scale(choice);
        return true;
      case 'update':
        await this.update(choice);
        return true;
      case 'tighten':
        this.tighten(choice, forMs);
        return true;
      case 'ail':
        this.ail(choice, forMs);
        return true;
      default:
        this.storm(forMs);
        return true;
    }
  }

  /**
   * Whether a violation is theirs. A budget that they shut while an update is under way is broken by nobody else: when a node group
   * gets smaller again after its update, its Auto Scaling group ends nodes after 15 minutes whatever budgets say, and no update can be
   * stopped (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html).
   */
  haveCaused({ budget }: Pick<Violation, 'budget'>): boolean {
    return budget !== undefined && budget.by === 'auto-scaling' && this.strained.has(budget.name);
  }

  /** Ends what would have passed by itself, and whatever goes wrong. */
  stop(): void {
    this.passing.stop();
    this.sandbox.world.faults.set({ rate: 0 });
  }

  private get store() {
    const cluster = this.sandbox.world.cluster(this.simulated.cluster);
    if (!cluster) throw new Error(`the world of ${this.simulated.cluster} has ended`);
    return cluster.store;
  }

  private cordon(choice: number): void {
    const free = this.store.list('nodes').filter(({ spec }) => spec.unschedulable !== true);
    const node = chosen(free, choice)?.metadata.name;
    if (node === undefined || free.length <= openNodesMin) return;
    this.store.update('nodes', `/${node}`, kubectl, ({ spec }) => (spec.unschedulable = true));
    this.cordoned.add(node);
    this.told.push(`cordoned ${node}`);
  }

  private uncordon(choice: number): boolean {
    const ours = this.store.list('nodes').filter(({ metadata, spec }) => metadata.annotations?.[cordonMark] && spec.unschedulable === true);
    const node = chosen(ours, choice)?.metadata.name;
    if (node === undefined) return false;
    // In the name of the cloud: the observer would report a person who lifts another's cordon.
    this.sandbox.world.cluster(this.simulated.cluster)?.setUnschedulable(node, false);
    this.told.push(`uncordoned ${node}`);
    return true;
  }

  /** Not where the budget is a share of the pods: its controller needs a moment to hear of another size, in which too many could go. */
  private scale(choice: number): void {
    const budgets = this.store.list('poddisruptionbudgets');
    const free = this.store.list('deployments').filter(({ metadata: { name } }) => {
      const budget = budgets.find(({ metadata }) => metadata.name === name);
      return !budget || typeof budget.spec.minAvailable === 'number';
    });
    const deployment = chosen(free, choice);
    if (!deployment) return;
    const { name, namespace = '' } = deployment.metadata;
    const isMore = deployment.spec.replicas <= replicasMin || shareOf(choice) < scaleUpShare;
    const { spec } = this.store.update('deployments', `${namespace}/${name}`, kubectl, (draft) => {
      draft.spec.replicas += isMore ? 1 : -1;
    });
    this.strained.add(`${namespace}/${name}`);
    this.told.push(`scaled ${name} to ${spec.replicas}`);
  }

  private tighten(choice: number, forMs: number): void {
    const budget = chosen(this.store.list('poddisruptionbudgets'), choice);
    if (!budget) return;
    const { name, namespace = '' } = budget.metadata;
    const { selector, minAvailable, maxUnavailable } = budget.spec;
    const set = (spec: typeof budget.spec): void => {
      this.store.update('poddisruptionbudgets', `${namespace}/${name}`, kubectl, (draft) => {
        draft.spec = spec;
      });
    };
    this.strained.add(`${namespace}/${name}`);
    this.forAWhile(`tightened ${name}`, forMs, {
      begin: () => set({ selector, minAvailable: '100%' }),
      end: () => set(maxUnavailable === undefined ? { selector, minAvailable } : { selector, maxUnavailable }),
    });
  }

  private ail(choice: number, forMs: number): void {
    const { cluster, groupNames } = this.simulated;
    const name = chosen(groupNames, choice) ?? '';
    const issue = { code: 'AsgInstanceLaunchFailures', message: 'We currently do not have sufficient capacity.', resourceIds: [] };
    this.forAWhile(`let no instance of ${name} start`, forMs, {
      begin: () => this.sandbox.setNodegroupIssue(cluster, name, issue),
      end: () => this.sandbox.setNodegroupIssue(cluster, name, undefined),
    });
  }

  private storm(forMs: number): void {
    const set = (isStorm: boolean): void => {
      this.isStorm = isStorm;
      this.setFaults();
    };
    this.forAWhile('let every call fail', forMs, { begin: () => set(true), end: () => set(false) });
  }

  private forAWhile(told: string, forMs: number, trouble: { begin: () => void; end: () => void }): void {
    if (this.passing.begin(told, forMs, trouble)) this.told.push(`${told} for ${forMs} ms`);
  }

  private setFaults(): void {
    const { faults } = this.simulated.circumstances;
    this.sandbox.world.faults.set(this.isStorm ? { ...faults, rate: 1 } : faults);
  }

  private async update(choice: number): Promise<void> {
    this.sandbox.world.faults.set({ rate: 0 });
    try {
      const { nodegroups = [] } = await this.eks.send(new ListNodegroupsCommand({ clusterName: this.simulated.cluster }));
      const nodegroupName = chosen(nodegroups, choice);
      if (nodegroupName === undefined) return;
      const subject = { clusterName: this.simulated.cluster, nodegroupName };
      const { nodegroup } = await this.eks.send(new DescribeNodegroupCommand(subject));
      const { newRelease, otherRelease } = this.simulated;
      const releaseVersion = shareOf(choice) < sameUpdateShare ? newRelease : otherRelease;
      if (nodegroup?.status !== 'ACTIVE' || nodegroup.releaseVersion === releaseVersion) return;
      // The run may have been faster.
      const isTaken = await this.eks.send(new UpdateNodegroupVersionCommand({ ...subject, releaseVersion })).then(
        () => true,
        () => false,
      );
      if (!isTaken) return;
      this.updated.add(nodegroupName);
      this.told.push(`had ${nodegroupName} updated to ${releaseVersion}`);
    } finally {
      this.setFaults();
    }
  }
}

function chosen<Item>(items: readonly Item[], choice: number): Item | undefined {
  return items[Math.floor(choice * items.length)];
}

/** Another number from 0 to 1 out of the same choice, for what is to be done to the chosen one. */
function shareOf(choice: number): number {
  const shifted = choice * 97;
  return shifted - Math.floor(shifted);
}
