import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Problem } from '../api/schema/answers.ts';
import type { LiveRunWithoutPlan } from '../api/schema/run.ts';
import { endPhases } from '../domain/run/state.ts';
import { streamOf } from './requests.ts';

/** A sign of life comes every 15 seconds at least; after two that were missed, what is shown may be wrong. */
const staleAfterMs = 35_000;
const tickMs = 1_000;

/** How far what a page shows can be believed. */
export interface Freshness {
  isLive: boolean;
  /** When the run was last heard of, in milliseconds since 1970; undefined before the first time. */
  heardMs?: number;
  nowMs: number;
}

/** A run as the page knows it. */
export interface Watched {
  live?: LiveRunWithoutPlan;
  problem?: Problem;
  heardMs?: number;
  isOver: boolean;
}

/** The one stream of a page: it keeps what it was last told of a run. */
class RunStream {
  watched: Watched = { isOver: false };
  private source: EventSource | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly run: string;

  constructor(run: string) {
    this.run = run;
  }

  /** Opens the stream with the first listener, and closes it with the last one. */
  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.open();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.close();
    };
  };

  private open(): void {
    this.close();
    // The browser comes back by itself where the stream breaks, with the id of the last event.
    const source = new EventSource(streamOf(this.run));
    source.addEventListener('state', (event: MessageEvent<string>) => {
      const live = JSON.parse(event.data) as LiveRunWithoutPlan;
      this.tell({ live, heardMs: Date.now(), isOver: endPhases.includes(live.state.phase) });
    });
    source.addEventListener('fresh', () => this.tell({ ...this.watched, heardMs: Date.now() }));
    source.addEventListener('problem', (event: MessageEvent<string>) => {
      this.tell({ ...this.watched, heardMs: undefined, problem: JSON.parse(event.data) as Problem });
    });
    source.addEventListener('end', () => {
      source.close();
      this.tell({ ...this.watched, heardMs: undefined });
    });
    this.source = source;
  }

  private close(): void {
    this.source?.close();
    this.source = undefined;
  }

  private tell(watched: Watched): void {
    this.watched = watched;
    for (const listener of this.listeners) listener();
  }
}

/** Watches a run as it goes on. */
export function useRun(run: string): Watched {
  const [stream, setStream] = useState(() => ({ run, of: new RunStream(run) }));
  if (stream.run !== run) setStream({ run, of: new RunStream(run) });
  return useSyncExternalStore(stream.of.subscribe, () => stream.of.watched);
}

/** Whether what is shown of a run still holds, looked at each second. */
export function useFreshness({ heardMs, isOver }: Watched): Freshness {
  const [nowMs, setNowMs] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), tickMs);
    return () => clearInterval(timer);
  }, []);
  const isLive = isOver || (heardMs !== undefined && nowMs - heardMs < staleAfterMs);
  return { isLive, heardMs, nowMs };
}
