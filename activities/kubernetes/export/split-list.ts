const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const itemsKey = '"items"';

/** A list as an API server has answered it, its objects as they came. */
export interface SplitList {
  /** All but the items. */
  envelope: { metadata?: { resourceVersion?: string; continue?: string } };
  /** The bytes of each object. They are never parsed, as that would round numbers beyond 2^53. */
  items: Buffer[];
}

/** Takes a list apart; undefined where it is no JSON of a list. */
export function splitList(json: Buffer): SplitList | undefined {
  const list = findItems(json);
  if (!list) return undefined;
  const items: Buffer[] = [];
  let at = list.from;
  let begin = -1;
  for (let depth = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === quote) at = endOfText(json, at + 1);
    else if (byte === openBrace || byte === openBracket) {
      if (depth === 0) begin = at;
      depth += 1;
    } else if (byte === closeBrace || byte === closeBracket) {
      if (depth === 0) break;
      depth -= 1;
      if (depth === 0) items.push(json.subarray(begin, at + 1));
    } else if (depth === 0 && byte !== comma && byte !== undefined && byte > 0x20) return undefined;
  }
  try {
    const rest = `${json.toString('utf8', 0, list.from)}${json.toString('utf8', at)}`;
    return { envelope: JSON.parse(rest) as SplitList['envelope'], items };
  } catch {
    return undefined;
  }
}

/** Where the items of a list begin, behind their bracket: those of the outermost object. `null` counts as none. */
function findItems(json: Buffer): { from: number } | undefined {
  let depth = 0;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === quote) {
      const end = endOfText(json, at + 1);
      if (depth === 1 && json.toString('latin1', at, end + 1) === itemsKey) {
        const from = json.indexOf('[', end);
        return from > 0 && /^\s*:\s*$/.test(json.toString('latin1', end + 1, from)) ? { from: from + 1 } : undefined;
      }
      at = end;
    } else if (byte === openBrace || byte === openBracket) depth += 1;
    else if (byte === closeBrace || byte === closeBracket) depth -= 1;
  }
  return undefined;
}

/** The place of the quote that closes a text. `indexOf` is much faster than a loop, and most of an object is text. */
function endOfText(json: Buffer, from: number): number {
  for (let at = json.indexOf(quote, from); at >= 0; at = json.indexOf(quote, at + 1)) {
    let slashes = 0;
    while (json[at - 1 - slashes] === backslash && at - 1 - slashes >= from) slashes += 1;
    if (slashes % 2 === 0) return at;
  }
  return json.length;
}
