import { useState, type ReactNode } from 'react';
import { Link } from 'wouter';
import type { HoldPage, Me } from '../../api/schema/answers.ts';
import { hashOfSpan, shortHash, type SpanPlan } from '../../domain/plan/plan.ts';
import { useTimes, useWords } from '../language.ts';
import { useFreshness, useRun, type Watched } from '../live.ts';
import { Command, FreshnessLine, ProblemBox, Time, Title, Told, useRead } from '../parts/parts.tsx';
import { Basis, countsOf, Drift, Effects, Risks, Sums } from '../parts/plan.tsx';
import { SignBox, type Choice } from '../parts/sign-box.tsx';

interface Answer {
  state: 'waiting' | 'approved' | 'rejected';
  missing: number;
}

/** The address of a request for signatures. */
export function decisionAddress(run: string, hold: string, number: number): string {
  return `/runs/${run}/holds/${encodeURIComponent(hold)}/${number}`;
}

/** One request for signatures: what signing does, who must sign, and the buttons that sign it. */
export function DecisionPage({ me, run, hold, number }: { me: Me; run: string; hold: string; number: string }): ReactNode {
  const words = useWords();
  const watched = useRun(run);
  const freshness = useFreshness(watched);
  const path = `/runs/${run}/holds/${encodeURIComponent(hold)}/${number}`;
  const { answer: page, problem, reload } = useRead<HoldPage>(path, changeOf(watched));
  if (problem) return <ProblemBox problem={problem} onAgain={reload} />;
  if (!page) return <p>{words.loading}</p>;
  return (
    <article>
      <Title tab={page.hold}>
        <Told>{page.runbook.title}</Told>
      </Title>
      <p className="quiet">
        <Told>{page.target}</Told> · <Link href={`/runs/${run}`}>{run}</Link> · {words.startedBy(page.requester)}
        {page.ticket && (
          <>
            {' · '}
            <Told>{page.ticket.id}</Told>
          </>
        )}
      </p>
      <FreshnessLine freshness={freshness} isOver={watched.isOver} />
      {page.replacedBy && (
        <p className="box warn" role="alert">
          {words.replaced} <Link href={decisionAddress(run, page.replacedBy.hold, page.replacedBy.number)}>{words.toTheNewOne}</Link>
        </p>
      )}
      {page.plan ? <Shown page={page} plan={page.plan} me={me} isLive={freshness.isLive} /> : <p className="box">{words.planElsewhere}</p>}
      <Command text={page.commands.approve} />
    </article>
  );
}

/** What must have happened for the request to be read again: nothing that a step under way says each second. */
function changeOf({ live }: Watched): string {
  const { hold, phase } = live?.state ?? {};
  return JSON.stringify([phase, hold?.request.hold, hold?.request.number, hold?.request.closed, hold?.decisions.length]);
}

function Shown({ page, plan, me, isLive }: { page: HoldPage; plan: SpanPlan; me: Me; isLive: boolean }): ReactNode {
  const words = useWords();
  const hash = hashOfSpan(plan);
  const isTrue = hash === page.request.planHash && plan.hash === hash;
  const drift = page.drift ?? page.changed;
  return (
    <>
      {!isTrue && (
        <p className="box bad" role="alert">
          {words.hashDiffers}
        </p>
      )}
      <Consequence page={page} plan={plan} />
      <Signers page={page} />
      <section className="box">
        <p className="quiet">{words.question}:</p>
        <p className="question">
          <Told>{page.request.question}</Told>
        </p>
        <Decide page={page} me={me} isLive={isLive && isTrue} why={isTrue ? words.connecting : words.hashDiffers} />
      </section>
      {drift && drift.length > 0 && <Drift changes={drift} />}
      <Risks plan={plan} summaries={page.summary?.steps ?? []} />
      <h2>{words.effects}</h2>
      <Effects plan={plan} summaries={page.summary?.steps ?? []} />
      <Basis plan={plan} />
      <p className="quiet hash">
        {words.hash}: <code>{shortHash(hash)}</code>
      </p>
    </>
  );
}

/** In a few sentences: what is done once enough people have signed, and where it stops. */
function Consequence({ page, plan }: { page: HoldPage; plan: SpanPlan }): ReactNode {
  const words = useWords();
  const { time } = useTimes();
  const { changes, objects, forGood, undoes } = countsOf(plan, page.summary?.steps ?? []);
  const standing = page.summary?.standing;
  const until = time(page.request.expiresAt);
  const missing = standing?.state === 'waiting' ? standing.missing : 0;
  const condition = !page.you.mayApprove
    ? words.ifSigned(missing, until)
    : missing <= 1
      ? words.lastSignature(until)
      : words.furtherSignatures(missing - 1, until);
  const next = page.nextHold;
  return (
    <section className="box consequence">
      <h2>{words.whatSigningDoes}</h2>
      <p className="strong">
        {page.status === 'waiting' && `${condition} `}
        {words.itDoes(changes, objects)} {next ? words.thenStops(next.title ?? next.id) : words.thenEnds}
      </p>
      <Sums plan={plan} summaries={page.summary?.steps ?? []} />
      {forGood > 0 && <p className="mark bad">✕ {words.noUndo(forGood)}</p>}
      {changes > 0 && undoes && <p className="mark good">✓ {words.allUndo}</p>}
    </section>
  );
}

function Signers({ page }: { page: HoldPage }): ReactNode {
  const words = useWords();
  const { span } = useTimes();
  const standing = page.summary?.standing;
  const leftMs = Date.parse(page.request.expiresAt) - Date.now();
  return (
    <dl className="signers">
      <div>
        <dt>{words.whoElse}</dt>
        <dd>
          <Told>{page.asks}</Told>
          {standing?.state === 'waiting' && ` · ${words.signaturesMissing(standing.missing)}`}
        </dd>
      </div>
      <div>
        <dt>{words.signedSoFar}</dt>
        <dd>
          {page.decisions.length === 0
            ? words.nobodyYet
            : page.decisions.map(({ person, decision }) => `${person} (${words.decisions[decision]})`).join(', ')}
        </dd>
      </div>
      {standing?.state === 'waiting' && (
        <div>
          <dt>{words.maySign}</dt>
          <dd>{standing.maySign.join(', ')}</dd>
        </div>
      )}
      <div>
        <dt>{words.untilWhen}</dt>
        <dd>
          <Time iso={page.request.expiresAt} />
          {page.status === 'waiting' ? ` (${words.closesIn(span(leftMs))})` : ` · ${words.statuses[page.status]}`}
        </dd>
      </div>
    </dl>
  );
}

function Decide({ page, me, isLive, why }: { page: HoldPage; me: Me; isLive: boolean; why: string }): ReactNode {
  const words = useWords();
  const { time } = useTimes();
  const { you, request, run } = page;
  // Whoever decides here goes on to see what comes of it.
  const [decidedBefore] = useState(you.decided);
  if (decidedBefore)
    return <p className="mark good">✓ {words.youDecided(words.decisions[decidedBefore.decision], time(decidedBefore.at))}</p>;
  const choice = (
    decision: 'approve' | 'reject',
    refusal: HoldPage['you']['whyNotApprove'],
    look: Choice<'decision'>['look'],
  ): Choice<'decision'> => ({
    name: decision,
    label: words[decision],
    look,
    said: (reason) => ({ kind: 'decision', run, request, decision, reason }),
    locked: refusal ? `${refusal.reason} ${refusal.remedy}` : isLive ? undefined : why,
  });
  return (
    <SignBox<'decision', Answer>
      me={me}
      path={`/runs/${run}/decisions`}
      needsReason={request.policy.reason === 'required'}
      choices={[choice('approve', you.whyNotApprove, 'main'), choice('reject', you.whyNotReject, 'plain')]}
      ledTo={({ state, missing }) => (state === 'waiting' ? words.ledTo.waiting(missing) : words.ledTo[state])}
    />
  );
}
