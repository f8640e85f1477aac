import { useContext, useState, type ReactNode } from 'react';
import type { Me } from '../../api/schema/answers.ts';
import { languages, SettingsContext, useWords, type Language, type Settings } from '../language.ts';
import { CancelledError, makePasskey, passkeysHere } from '../passkeys.ts';
import { Command, Time, Title, Told } from '../parts/parts.tsx';

/** Who is signed in, their keys, a new passkey, language and zone. */
export function MePage({ me, onSettings }: { me: Me; onSettings: (settings: Settings) => void }): ReactNode {
  const words = useWords();
  const settings = useContext(SettingsContext);
  return (
    <article>
      <Title tab={words.me}>{words.me}</Title>
      <dl className="signers">
        <div>
          <dt>{words.youAre}</dt>
          <dd>
            <Told>{me.name}</Told>
            {me.person !== null && ` (${me.person})`}
          </dd>
        </div>
        <div>
          <dt>{words.mayDo}</dt>
          <dd>{me.roles.join(', ') || '–'}</dd>
        </div>
        {me.session && (
          <div>
            <dt>{words.sessionEnds}</dt>
            <dd>
              <Time iso={me.session.endsAt} />
            </dd>
          </div>
        )}
      </dl>
      <h2>{words.yourKeys}</h2>
      <ul className="keys">
        {me.keys.length === 0 && <li>{words.noKeys}</li>}
        {me.keys.map(({ type, key }) => (
          <li key={key}>
            {type} <code>{key}</code>
          </li>
        ))}
      </ul>
      {me.person !== null && <Enrolment me={me} person={me.person} />}
      <h2>{words.settings}</h2>
      <div className="filters">
        <label>
          {words.language}
          <select value={settings.language} onChange={({ target }) => onSettings({ ...settings, language: target.value as Language })}>
            {Object.entries(languages).map(([tag, { name }]) => (
              <option key={tag} value={tag} lang={tag}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          {words.timeZone}
          <select value={settings.zone ?? ''} onChange={({ target }) => onSettings({ ...settings, zone: target.value || undefined })}>
            <option value="">{words.zoneOwn}</option>
            {['UTC', ...Intl.supportedValuesOf('timeZone')].map((zone) => (
              <option key={zone}>{zone}</option>
            ))}
          </select>
        </label>
      </div>
      <Command text="holdpoint keys list" />
    </article>
  );
}

type Made = { key: string; deviceBound: boolean } | 'asking' | 'failed';

function Enrolment({ me, person }: { me: Me; person: string }): ReactNode {
  const words = useWords();
  const [made, setMade] = useState<Made>();
  const make = async (): Promise<void> => {
    setMade('asking');
    try {
      setMade(await makePasskey(person, me.name, passkeysHere(me.keys)));
    } catch (error) {
      if (!(error instanceof CancelledError)) throw error;
      setMade('failed');
    }
  };
  return (
    <section className="box">
      <h2>{words.enrol}</h2>
      <p>{words.enrolHelp}</p>
      <button type="button" className="main" disabled={made === 'asking'} onClick={() => void make()}>
        {words.enrol}
      </button>
      <div aria-live="polite">
        {made === 'asking' && <p>{words.waitingForKey}</p>}
        {made === 'failed' && <p>{words.enrolFailed}</p>}
        {typeof made === 'object' && (
          <>
            <p>
              {words.enrolled} {made.deviceBound ? words.deviceBound : words.synced}
            </p>
            <pre>{`- { type: passkey, key: "${made.key}", from: ${new Date().toISOString()} }`}</pre>
          </>
        )}
      </div>
    </section>
  );
}
