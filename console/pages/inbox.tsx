import { useEffect, useState, type ReactNode } from 'react';
import { Link } from 'wouter';
import type * as z from 'zod';
import type { inbox as inboxSchema, Me } from '../../api/schema/answers.ts';
import { useTimes, useWords } from '../language.ts';
import { Command, ProblemBox, Time, Title, Told, useRead } from '../parts/parts.tsx';
import { decisionAddress } from './decision.tsx';

const lookEveryMs = 10_000;

/** The holds at which the person's signature would still count, those that close first at the top. */
export function InboxPage({ me }: { me: Me }): ReactNode {
  const words = useWords();
  const { span } = useTimes();
  const [looks, setLooks] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setLooks((times) => times + 1), lookEveryMs);
    return () => clearInterval(timer);
  }, []);
  const { answer, problem, reload } = useRead<z.output<typeof inboxSchema>>('/inbox', looks);
  const items = [...(answer?.items ?? [])].sort((one, other) => one.leftMs - other.leftMs);
  return (
    <article>
      <Title tab={words.waitingForYou}>{words.waitingForYou}</Title>
      {problem && <ProblemBox problem={problem} onAgain={reload} />}
      {me.person === null && <p className="box">{words.notAPerson}</p>}
      {!answer && !problem && <p>{words.loading}</p>}
      {answer && items.length === 0 && me.person !== null && <p>{words.nothingWaits}</p>}
      <ul className="cards">
        {items.map((item) => (
          <li key={`${item.run} ${item.hold} ${item.request}`} className="box">
            <h2>
              <Link href={decisionAddress(item.run, item.hold, item.request)}>
                <Told>{item.title}</Told>
              </Link>
            </h2>
            <p>
              <Told>{item.question}</Told>
            </p>
            <p className="quiet">
              <Told>{item.target}</Told> · {words.startedBy(item.requester)} · {words.signaturesMissing(item.missing)}
            </p>
            <p>
              <strong>{words.closesIn(span(item.leftMs))}</strong> (<Time iso={item.expiresAt} />)
            </p>
          </li>
        ))}
      </ul>
      {answer && answer.unread.length > 0 && (
        <details className="box warn">
          <summary>{words.unread(answer.unread.length)}</summary>
          <ul>
            {answer.unread.map(({ target, reason }) => (
              <li key={target}>
                <Told>{`${target}: ${reason}`}</Told>
              </li>
            ))}
          </ul>
        </details>
      )}
      {answer && <Command text={answer.command} />}
    </article>
  );
}
