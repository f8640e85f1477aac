import type { Holdpoint } from '../client/holdpoint.ts';
import type { Configuration } from '../runbooks/configuration/configuration.ts';
import type { AuditLog } from './audit.ts';
import type { Limits } from './limits.ts';
import type { LiveRuns } from './live-runs.ts';
import type { SignIn } from './sign-in.ts';
import type { Sessions } from './sessions.ts';

/** What the API asks of the client, and nothing else: it holds no key, so it can make no statement of its own. */
export type ApiClient = Pick<Holdpoint, 'plan' | 'submitStart' | 'page' | 'inbox' | 'show' | 'log' | 'submit'>;

/** What all routes work with. */
export interface ApiContext {
  holdpoint: ApiClient;
  /** Read anew whenever it is needed: somebody who has left must not get in any more. Throws `configuration-invalid`. */
  readConfiguration: () => Promise<Configuration>;
  /** The path of the configuration, which paths in it are relative to. */
  configurationFile: string;
  /** Where people reach this server: https://holdpoint.example.com. */
  origin: string;
  sessions: Sessions;
  signIn: SignIn;
  limits: Limits;
  liveRuns: LiveRuns;
  audit: AuditLog;
  nowMs: () => number;
  /** Whether Temporal answers. */
  isReady: () => Promise<boolean>;
  /** Told of errors that nobody has foreseen; what it is given never goes out over HTTP. */
  onError: (error: unknown) => void;
}
