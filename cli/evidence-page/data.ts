import type { ReadRecord } from '../../client/evidence.ts';
import type { Trust } from '../../domain/evidence/verification.ts';

/** All that a page needs to show a record and to verify it by itself. */
export interface PageData {
  /** The record as JSON lines. */
  text: string;
  run: string;
  /** What is kept beside the record, by its digest. */
  kept: Record<string, string>;
  /** What the second place had when the page was made; undefined where none was looked at. */
  heads?: { path: string; text?: string }[] | { unreadable: string };
  /** What was wrong with the place of the record when the page was made, which its text does not show. */
  foundProblems: string[];
  /** What holdpoint.yaml said when the page was made. */
  trust: Trust;
  origin: PageOrigin;
}

/** Where what is in a page came from, as it was named. */
export interface PageOrigin {
  record: string;
  configuration?: string;
  /** When the page was made; ISO 8601, UTC. */
  madeAt: string;
  /** Of the program that has made it. */
  version: string;
}

/** Puts together what a page needs. Of people nothing but their keys goes into it. */
export function pageDataOf(inHand: NonNullable<ReadRecord['inHand']>, { people, authority }: Trust, origin: PageOrigin): PageData {
  const { text, run, chain, problems, kept, heads } = inHand;
  const inText = new Set(chain.problems.map(({ line, sentence }) => `${line} ${sentence}`));
  const keys = people && Object.entries(people).map(([person, known]) => [person, known && { key: known.key }]);
  return {
    text,
    run,
    // What is no text was changed: the page finds it missing then.
    kept: Object.fromEntries([...kept].flatMap(([digest, bytes]) => (bytes ? [[digest, Buffer.from(bytes).toString('utf8')]] : []))),
    heads:
      heads &&
      ('unreadable' in heads ? heads : heads.map(({ path, bytes }) => ({ path, text: bytes && Buffer.from(bytes).toString('utf8') }))),
    foundProblems: problems.flatMap(({ line, object, sentence }) =>
      inText.has(`${line} ${sentence}`) ? [] : [`${object ?? `line ${line}`}: ${sentence}`],
    ),
    trust: {
      people: keys && (Object.fromEntries(keys) as Trust['people']),
      authority: authority && { groups: authority.groups, policies: authority.policies, workers: authority.workers },
    },
    origin,
  };
}
