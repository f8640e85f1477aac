import { useEffect, useRef, useState, type ReactNode } from 'react';
import type { Problem } from '../../api/schema/answers.ts';
import type { Json } from '../../domain/json.ts';
import { visible, visibleJson } from '../../domain/visible.ts';
import { useTimes, useWords } from '../language.ts';
import type { Freshness } from '../live.ts';
import { ProblemError, read, signInAddress } from '../requests.ts';

/** Whatever people and clusters have written, with what cannot be seen made visible. */
export function Told({ children }: { children: string }): ReactNode {
  return visible(children);
}

/** Any value, in words. */
export function valueText(value: Json | undefined): string {
  if (value === undefined || value === null) return '–';
  return typeof value === 'string' ? visible(value) : visibleJson(JSON.stringify(value));
}

/** A time in the zone of the person; UTC where the pointer rests. */
export function Time({ iso }: { iso: string }): ReactNode {
  const { time, utc } = useTimes();
  return (
    <time dateTime={iso} title={utc(iso)}>
      {time(iso)}
    </time>
  );
}

/** What the API has refused: what happened, and what to do. */
export function ProblemBox({ problem, onAgain }: { problem: Problem; onAgain?: () => void }): ReactNode {
  const words = useWords();
  const mustSignIn = problem.code === 'session-missing';
  return (
    <section className="box bad" role="alert">
      <p className="strong">{mustSignIn ? words.signedOut : <Told>{problem.detail}</Told>}</p>
      {!mustSignIn && problem.remedy !== '' && (
        <p>
          {words.whatToDo}: <Told>{problem.remedy}</Told>
        </p>
      )}
      {problem.recorded === true && <p>{words.recorded}</p>}
      {mustSignIn ? (
        <p>
          <a className="button main" href={signInAddress()}>
            {words.signIn}
          </a>
        </p>
      ) : (
        <p className="quiet">{problem.code}</p>
      )}
      {!mustSignIn && onAgain && (
        <button type="button" onClick={onAgain}>
          {words.again}
        </button>
      )}
    </section>
  );
}

/** Reads something of the API while a part of the page is shown, and again when `again` is another value. */
export function useRead<Answer>(path: string | undefined, again: unknown = 0): { answer?: Answer; problem?: Problem; reload: () => void } {
  const [got, setGot] = useState<{ path?: string; answer?: Answer; problem?: Problem }>({});
  const [count, setCount] = useState(0);
  useEffect(() => {
    if (path === undefined) return;
    const stop = new AbortController();
    read<Answer>(path, stop.signal).then(
      (answer) => setGot({ path, answer }),
      (error: unknown) => {
        if (error instanceof ProblemError && !stop.signal.aborted) setGot({ path, problem: error.problem });
      },
    );
    return () => stop.abort();
  }, [path, again, count]);
  const mine = got.path === path ? got : {};
  return { answer: mine.answer, problem: mine.problem, reload: () => setCount((times) => times + 1) };
}

/** How fresh the page is, and that its buttons are locked where it is not. */
export function FreshnessLine({ freshness: { isLive, heardMs, nowMs }, isOver }: { freshness: Freshness; isOver: boolean }): ReactNode {
  const words = useWords();
  const { clock } = useTimes();
  if (isOver) return <p className="fresh">{words.over}</p>;
  if (isLive) return <p className="fresh live">{words.live(clock(heardMs ?? nowMs))}</p>;
  const text = heardMs === undefined ? words.connecting : words.stale(Math.round((nowMs - heardMs) / 1_000));
  return <p className="fresh stale">{text}</p>;
}

/** A command that does the same as the page, to copy. */
export function Command({ text }: { text: string }): ReactNode {
  const words = useWords();
  const [isCopied, setCopied] = useState(false);
  return (
    <div className="command">
      <span className="quiet">{words.command}</span>
      <code>{text}</code>
      <button
        type="button"
        className="small"
        onClick={() => {
          void navigator.clipboard.writeText(text).then(() => setCopied(true));
        }}
      >
        {isCopied ? words.copied : words.copy}
      </button>
    </div>
  );
}

/** The heading of a page, which gets the focus when the page is changed to, and names the tab. */
export function Title({ children, tab }: { children: ReactNode; tab: string }): ReactNode {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${tab} – Holdpoint`;
  }, [tab]);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}
