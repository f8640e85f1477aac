/** How long a piece of somebody else's text may be where it is shown: a reason of full length fits, and a screen is not filled by it. */
export const shownCharactersMax = 4_000;

/** How long names of objects in a cluster are, as Kubernetes limits most of them; where it does not, they are cut to that. */
export const nameCharactersMax = 253;

/**
 * What a terminal obeys instead of showing it, or what nobody sees: controls (C0, C1, escape), bidirectional and other formats, line
 * and paragraph separators, half characters, fillers, and a fifth mark on top of a character.
 */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|\p{M}(?<=\p{M}{5})/u;
const everyUnseen = new RegExp(unseen.source, 'gu');

const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * Somebody else's text as it may be shown: on one line, with everything in it visible and nothing that is obeyed. Whatever is written
 * by people, clusters or servers goes through here before it is shown anywhere. What is visible stays as it is.
 */
export function visible(text: string, charactersMax = shownCharactersMax): string {
  // Cut first, so that the work is bounded whatever comes.
  return cut(cut(text, charactersMax).replace(everyUnseen, escaped), charactersMax);
}

/** Cuts a text that is longer than it may be, and says how much is gone. */
export function cut(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text;
  const mark = `… (${text.length} characters)`;
  const kept = text.slice(0, Math.max(0, charactersMax - mark.length));
  // Half of a character is none.
  return kept.replace(/[\uD800-\uDBFF]$/, '') + mark;
}

/** JSON with whatever is not visible in it escaped: what is read from it is the same. */
export function visibleJson(json: string): string {
  return json.replace(everyUnseen, (character) => {
    return Array.from({ length: character.length }, (_, index) => `\\u${hex(character.charCodeAt(index), 4)}`).join('');
  });
}

/** The first character of a text that cannot be seen, where there is one: by its name in `visible`, and its place. */
export function unseenIn(text: string): { character: string; at: number } | undefined {
  const found = unseen.exec(text);
  return found === null ? undefined : { character: escaped(found[0]), at: found.index };
}

function escaped(character: string): string {
  const short = shortEscapes[character];
  if (short !== undefined) return short;
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${hex(code, 2)}`;
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\u{${hex(code, 5)}}`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
