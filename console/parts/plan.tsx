import { useState, type ReactNode } from 'react';
import type { HoldPage } from '../../api/schema/answers.ts';
import type { Effect, SpanPlan, StepPlan } from '../../domain/plan/plan.ts';
import type { PlanChange } from '../../domain/plan/difference.ts';
import { useTimes, useWords } from '../language.ts';
import { Told, valueText } from './parts.tsx';

/** More objects of one step are shown on demand: what is left out says how much it is. */
const effectsShown = 12;

type Summaries = NonNullable<HoldPage['summary']>['steps'];

/** What a plan does, counted; `undoes` only where that is known of each of its changes. */
export function countsOf(
  { steps }: SpanPlan,
  summaries: Summaries,
): { changes: number; objects: number; forGood: number; undoes: boolean } {
  const effects = steps.flatMap(({ plan }) => plan.effects);
  const forGood = steps.filter(({ id }) => cannotBeUndone(id, summaries)).flatMap(({ plan }) => plan.effects);
  const changing = steps.filter(({ plan }) => plan.effects.length > 0);
  const undoes = changing.every(({ id }) => 'does' in (summaries.find((summary) => summary.id === id)?.undo ?? {}));
  return { changes: effects.length, objects: new Set(effects.map(({ object }) => object)).size, forGood: forGood.length, undoes };
}

function cannotBeUndone(step: string, summaries: Summaries): boolean {
  const undo = summaries.find(({ id }) => id === step)?.undo;
  return undo !== undefined && 'none' in undo;
}

/** Kinds of changes that are counted in the first sentence; others are below, with all the rest. */
const kindsShown = 5;

/** What happens to how many objects of which kind, those that cannot be undone first. */
export function Sums({ plan, summaries }: { plan: SpanPlan; summaries: Summaries }): ReactNode {
  const words = useWords();
  const sums = new Map<string, { change: string; kind: string; count: number; isForGood: boolean }>();
  for (const {
    id,
    plan: { effects },
  } of plan.steps) {
    const isForGood = cannotBeUndone(id, summaries);
    for (const { object, change } of effects) {
      const [verb = ''] = change.split(/[:,(]/);
      const [kind = ''] = object.split('/');
      const key = JSON.stringify([verb, kind, isForGood]);
      const sum = sums.get(key) ?? { change: verb.trim(), kind, count: 0, isForGood };
      sums.set(key, { ...sum, count: sum.count + 1 });
    }
  }
  const all = [...sums.values()].sort((one, other) => Number(other.isForGood) - Number(one.isForGood));
  return (
    <ul className="sums">
      {all.slice(0, kindsShown).map(({ change, kind, count, isForGood }, place) => (
        <li key={place} className={isForGood ? 'mark bad' : ''}>
          {isForGood && '✕ '}
          <Told>{words.ofKind(change, count, kind)}</Told>
          {isForGood && ` – ${words.cannotBeUndone}`}
        </li>
      ))}
      {all.length > kindsShown && <li>{words.furtherKinds(all.length - kindsShown)}</li>}
    </ul>
  );
}

/** The steps of a plan with their effects by object, those that cannot be undone first. */
export function Effects({ plan, summaries }: { plan: SpanPlan; summaries: Summaries }): ReactNode {
  const steps = plan.steps.filter(({ plan: { effects } }) => effects.length > 0);
  const forGood = steps.filter(({ id }) => cannotBeUndone(id, summaries));
  const others = steps.filter(({ id }) => !cannotBeUndone(id, summaries));
  return [...forGood, ...others].map((step) => (
    <StepEffects key={step.id} step={step} summary={summaries.find(({ id }) => id === step.id)} />
  ));
}

function StepEffects({ step, summary }: { step: StepPlan; summary: Summaries[number] | undefined }): ReactNode {
  const words = useWords();
  const { span } = useTimes();
  const [isWhole, setWhole] = useState(false);
  const { effects } = step.plan;
  const shown = isWhole ? effects : effects.slice(0, effectsShown);
  const undo = summary?.undo;
  return (
    <section className="step">
      <h3>
        <Told>{step.id}</Told> <span className="quiet">{step.uses}</span>
      </h3>
      <p>
        {undo && 'none' in undo && (
          <span className="mark bad">
            ✕ {words.cannotBeUndone}: <Told>{undo.none}</Told>
          </span>
        )}
        {undo && 'does' in undo && <span className="quiet">{words.canBeUndone(undo.does)}</span>}
        {summary && <span className="quiet"> · {words.takes(span(summary.estimateMs))}</span>}
      </p>
      <ul className="effects">
        {shown.map((effect, place) => (
          <EffectLine key={place} effect={effect} />
        ))}
      </ul>
      {effects.length > shown.length && (
        <button type="button" className="small" onClick={() => setWhole(true)}>
          {words.effectsHidden(effects.length - shown.length)}
        </button>
      )}
    </section>
  );
}

function EffectLine({ effect: { object, change, before, after } }: { effect: Effect }): ReactNode {
  return (
    <li>
      <strong>
        <Told>{object}</Told>
      </strong>{' '}
      <Told>{change}</Told>
      {(before !== undefined || after !== undefined) && (
        <span className="values">
          {' '}
          <del>{valueText(before)}</del> → <ins>{valueText(after)}</ins>
        </span>
      )}
    </li>
  );
}

/** What may be lost by a plan, which signing accepts. */
export function Risks({ plan, summaries }: { plan: SpanPlan; summaries: Summaries }): ReactNode {
  const words = useWords();
  const risks = plan.steps.flatMap(({ plan: { risks: of } }) => of);
  // The dangers of settings are told by the declaration of an action, which the page does not have.
  const known = new Set(risks.map(({ object, risk }) => `${object}: ${risk}`));
  const dangers = summaries.flatMap(({ risks: of }) => of).filter((risk) => !known.has(risk));
  if (risks.length + dangers.length === 0) return null;
  return (
    <section className="box warn">
      <h2>
        {words.mayBeLost} ({risks.length + dangers.length})
      </h2>
      <ul>
        {dangers.map((danger) => (
          <li key={danger}>
            <Told>{danger}</Told>
          </li>
        ))}
        {risks.map(({ object, risk, detail }, place) => (
          <li key={place}>
            <strong>
              <Told>{object}</Told>
            </strong>
            : <Told>{risk}</Told>
            {detail !== undefined && (
              <span className="quiet">
                {' '}
                <Told>{detail}</Told>
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What differs between the plan that was signed and the one of now. */
export function Drift({ changes }: { changes: readonly PlanChange[] }): ReactNode {
  const words = useWords();
  return (
    <section className="box warn">
      <h2>{words.drift}</h2>
      <ul>
        {changes.map(({ step, kind, object, before, after }, place) => (
          <li key={place}>
            {kind === 'added' ? '+' : kind === 'gone' ? '−' : '≠'} <Told>{`${step}: ${object}`}</Told>{' '}
            <span className="values">
              <del>{valueText(before)}</del> → <ins>{valueText(after)}</ins>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Facts, which are signed, and what is not. */
export function Basis({ plan }: { plan: SpanPlan }): ReactNode {
  const words = useWords();
  const notes = plan.steps.flatMap(({ id, plan: { notes: of } }) => of.map((note) => `${id}: ${note}`));
  return (
    <>
      <details>
        <summary>{words.facts}</summary>
        {plan.steps.map(({ id, plan: { facts } }) => (
          <dl key={id} className="facts">
            {Object.entries(facts).map(([name, value]) => (
              <div key={name}>
                <dt>
                  <Told>{`${id}: ${name}`}</Told>
                </dt>
                <dd>{valueText(value)}</dd>
              </div>
            ))}
          </dl>
        ))}
      </details>
      {notes.length > 0 && (
        <details>
          <summary>
            {words.notSigned} ({notes.length})
          </summary>
          <ul>
            {notes.map((note, place) => (
              <li key={place}>
                <Told>{note}</Told>
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}
