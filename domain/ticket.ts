import { unseenIn } from './visible.ts';

/** What a run is done for, as a change request: its id, and where it is found. It is part of what whoever starts the run signs. */
export interface Ticket {
  id: string;
  /** An address that begins with https:// or http://. */
  link?: string;
}

const idCharactersMax = 100;
const linkCharactersMax = 1_000;

/** What is wrong with a ticket, as a sentence; undefined where nothing is. */
export function ticketProblem({ id, link }: Ticket): string | undefined {
  if (id.trim() === '' || id.length > idCharactersMax) return `The id of a ticket has 1 to ${idCharactersMax} characters.`;
  const unseen = unseenIn(id);
  if (unseen) return `The id of the ticket has the character ${unseen.character}, which nobody sees or a terminal obeys.`;
  if (link === undefined) return undefined;
  if (link.length > linkCharactersMax) return `The link of a ticket has ${linkCharactersMax} characters at most.`;
  return /^https?:\/\/[!-~]+$/.test(link) ? undefined : 'The link of a ticket begins with https:// and has no spaces.';
}
