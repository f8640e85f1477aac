import { StrictMode, useEffect, useState, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { Link, Route, Switch, useLocation } from 'wouter';
import type { Me } from '../api/schema/answers.ts';
import { keepSettings, languages, readSettings, SettingsContext, useWords, type Settings } from './language.ts';
import { DecisionPage } from './pages/decision.tsx';
import { EvidencePage } from './pages/evidence.tsx';
import { InboxPage } from './pages/inbox.tsx';
import { MePage } from './pages/me.tsx';
import { NodesPage } from './pages/nodes.tsx';
import { RunPage } from './pages/run.tsx';
import { RunsPage } from './pages/runs.tsx';
import { RunbooksPage, StartPage } from './pages/start.tsx';
import { ProblemBox, useRead } from './parts/parts.tsx';
import { send } from './requests.ts';

function Console(): ReactNode {
  const [settings, setSettings] = useState<Settings>(readSettings);
  useEffect(() => {
    document.documentElement.lang = settings.language;
    keepSettings(settings);
  }, [settings]);
  return (
    <SettingsContext value={settings}>
      <Frame onSettings={setSettings} />
    </SettingsContext>
  );
}

function Frame({ onSettings }: { onSettings: (settings: Settings) => void }): ReactNode {
  const words = useWords();
  const [place] = useLocation();
  const { answer: me, problem, reload } = useRead<Me>('/me');
  // Whoever follows a link begins at the top of the next page, also with a screen reader.
  useEffect(() => {
    if (place !== firstPlace) document.querySelector('h1')?.focus();
  }, [place]);
  return (
    <>
      <a className="skip" href="#content">
        {words.skip}
      </a>
      <header>
        <nav aria-label={words.pages}>
          <strong className="name">Holdpoint</strong>
          <PageLink to="/">{words.waitingForYou}</PageLink>
          <PageLink to="/runs">{words.runs}</PageLink>
          <PageLink to="/start">{words.start}</PageLink>
          <PageLink to="/me">{words.me}</PageLink>
        </nav>
        {me && (
          <div className="who">
            <span>{me.name}</span>
            <button type="button" className="small" onClick={() => void send('/auth/logout', {}).finally(() => location.assign('/'))}>
              {words.signOut}
            </button>
          </div>
        )}
      </header>
      <main id="content">
        {problem && <ProblemBox problem={problem} onAgain={reload} />}
        {!me && !problem && <p>{words.loading}</p>}
        {me && <Pages me={me} onSettings={onSettings} />}
      </main>
      <footer className="quiet">
        {Object.entries(languages).map(([language, { name }]) => (
          <button
            key={language}
            type="button"
            className="small"
            lang={language}
            onClick={() => onSettings({ ...readSettings(), language: language as keyof typeof languages })}
          >
            {name}
          </button>
        ))}
      </footer>
    </>
  );
}

const firstPlace = location.pathname;

function PageLink({ to, children }: { to: string; children: string }): ReactNode {
  const [place] = useLocation();
  return (
    <Link href={to} aria-current={place === to ? 'page' : undefined}>
      {children}
    </Link>
  );
}

function Pages({ me, onSettings }: { me: Me; onSettings: (settings: Settings) => void }): ReactNode {
  const words = useWords();
  return (
    <Switch>
      <Route path="/">
        <InboxPage me={me} />
      </Route>
      <Route path="/runs">
        <RunsPage />
      </Route>
      <Route path="/runs/:run/holds/:hold/:number">
        {({ run, hold, number }) => <DecisionPage key={`${run} ${hold} ${number}`} me={me} run={run} hold={hold} number={number} />}
      </Route>
      <Route path="/runs/:run/evidence">{({ run }) => <EvidencePage key={run} run={run} />}</Route>
      <Route path="/runs/:run/nodes">{({ run }) => <NodesPage key={run} run={run} />}</Route>
      <Route path="/runs/:run">{({ run }) => <RunPage key={run} me={me} run={run} />}</Route>
      <Route path="/start">
        <RunbooksPage />
      </Route>
      <Route path="/start/:runbook">{({ runbook }) => <StartPage key={runbook} me={me} runbook={runbook} />}</Route>
      <Route path="/me">
        <MePage me={me} onSettings={onSettings} />
      </Route>
      <Route>
        <p>{words.notFound}</p>
      </Route>
    </Switch>
  );
}

const place = document.querySelector('#page');
if (place) {
  createRoot(place).render(
    <StrictMode>
      <Console />
    </StrictMode>,
  );
}
