import { createHash, randomBytes } from 'node:crypto';

/** A session ends when nothing was asked in it for so long. */
export const sessionIdleMs = 30 * 60_000;
/** And when it has lasted so long, whatever is asked in it. */
export const sessionLastsMs = 8 * 60 * 60_000;
const sessionsMax = 10_000;
const sessionsPerSubjectMax = 20;
const tokenBytes = 32;

/** Who has signed in, as the identity provider names them. */
export interface SignedIn {
  issuer: string;
  subject: string;
  /** For people to read; never what somebody is known by. */
  name: string;
  groups: readonly string[];
}

/** A session of somebody who has signed in; it lives in this process only. */
export interface Session extends SignedIn {
  startedMs: number;
  usedMs: number;
  /** Aborted at the moment in which the session ends. */
  ended: AbortController;
}

/**
 * The sessions of this server. Whoever has a token has its session; only the digest of a token is kept, so that a dump of the memory
 * of sessions signs nobody in.
 */
export class Sessions {
  private readonly sessions = new Map<string, Session>();
  private readonly nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.nowMs = nowMs;
  }

  /** Begins a session under a token that nobody had before, and gives the groups to the other sessions of the same person. */
  begin(who: SignedIn): string {
    const now = this.nowMs();
    this.sweep();
    const own = [...this.sessions].filter(([, { issuer, subject }]) => issuer === who.issuer && subject === who.subject);
    for (const [, session] of own) session.groups = [...who.groups];
    for (const [key] of own.slice(0, Math.max(0, own.length - sessionsPerSubjectMax + 1))) this.endKey(key);
    while (this.sessions.size >= sessionsMax) this.endKey([...this.sessions.keys()][0] ?? '');
    const token = randomBytes(tokenBytes).toString('base64url');
    this.sessions.set(keyOf(token), { ...who, startedMs: now, usedMs: now, ended: new AbortController() });
    return token;
  }

  /** The session of a token, if it is not over. `used`: somebody has asked for something, which keeps the session from being idle. */
  find(token: string, { used }: { used: boolean }): Session | undefined {
    const key = keyOf(token);
    const session = this.sessions.get(key);
    if (!session) return undefined;
    if (!this.isAlive(session)) {
      this.endKey(key);
      return undefined;
    }
    if (used) session.usedMs = this.nowMs();
    return session;
  }

  /** Whether a session goes on. */
  isAlive(session: Session): boolean {
    const now = this.nowMs();
    return !session.ended.signal.aborted && now < endsOf(session).endsMs && now < endsOf(session).idleEndsMs;
  }

  end(token: string): void {
    this.endKey(keyOf(token));
  }

  private endKey(key: string): void {
    this.sessions.get(key)?.ended.abort();
    this.sessions.delete(key);
  }

  private sweep(): void {
    for (const [key, session] of this.sessions) if (!this.isAlive(session)) this.endKey(key);
  }
}

/** When a session ends at the latest, and when it ends if nothing is asked in it; milliseconds since 1970. */
export function endsOf({ startedMs, usedMs }: Session): { endsMs: number; idleEndsMs: number } {
  return { endsMs: startedMs + sessionLastsMs, idleEndsMs: usedMs + sessionIdleMs };
}

function keyOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}
