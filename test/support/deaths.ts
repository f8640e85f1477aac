import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A step that fails. */
export interface FailingStep {
  step: string;
  moment: 'before it begins' | 'when it is done';
}

/** The places at which the worker of a run is to die, once each. */
export type Wanted = readonly string[] | 'anywhere' | 'anywhere on the rollback';

interface Fate {
  wanted: Wanted;
  failing?: FailingStep;
}

const fateSuffix = '.fate.json';
const noFate: Fate = { wanted: [] };

/**
 * What is to befall the workers of runs, and what has: in files, as no worker lives long enough to remember. A run is known by its
 * cluster, of which it is the only one. The test writes, and the worker reads.
 */
export class Deaths {
  private readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  /** Says where the worker of a run is to die from now on, and which of its steps fails. */
  plan(cluster: string, fate: Partial<Fate>): void {
    const path = join(this.directory, `${cluster}${fateSuffix}`);
    writeFileSync(`${path}.new`, JSON.stringify({ ...this.fateOf(cluster), ...fate }));
    renameSync(`${path}.new`, path);
  }

  failingStepOf(cluster: string): FailingStep | undefined {
    return this.fateOf(cluster).failing;
  }

  /** Whether the worker is to die at that place and none has died there yet. */
  isDue(cluster: string, place: string): boolean {
    const { wanted } = this.fateOf(cluster);
    if (this.of(cluster).includes(place)) return false;
    if (wanted === 'anywhere') return true;
    if (wanted === 'anywhere on the rollback') return /^undo(:|$)/.test(place);
    return wanted.includes(place);
  }

  /** The clusters of the runs whose worker is still to die somewhere. */
  awaited(): string[] {
    const clusters = readdirSync(this.directory).flatMap((file) => (file.endsWith(fateSuffix) ? file.slice(0, -fateSuffix.length) : []));
    return clusters.filter((cluster) => {
      const { wanted } = this.fateOf(cluster);
      return typeof wanted === 'string' || wanted.some((place) => this.isDue(cluster, place));
    });
  }

  note(cluster: string, place: string): void {
    appendFileSync(this.pathOfDeaths(cluster), `${place}\n`);
  }

  /** The places where workers of the run have died, in their order. */
  of(cluster: string): string[] {
    const path = this.pathOfDeaths(cluster);
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  }

  private fateOf(cluster: string): Fate {
    const path = join(this.directory, `${cluster}${fateSuffix}`);
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Fate) : noFate;
  }

  private pathOfDeaths(cluster: string): string {
    return join(this.directory, `${cluster}.deaths`);
  }
}
