/** Words that the project has given up, each with the one that it uses instead (docs/glossary.md). */
const retiredWords: readonly (readonly [RegExp, string])[] = [
  [/\b[Ww]ay back\b|\bWayBack\b|\b(goes|going|went) back by itself\b|\bGoingBack\b/, 'rollback, rolls back'],
  [/\bshut (budget|PDB)|\b([Bb]udget|PDB)s? (is|are|was|stays?|stayed|be|been) shut\b/, 'the PDB allows 0 disruptions'],
  [/\b(comes?|came|coming) off (it|them|the|their|a) ?(nodes?)?\b/, 'is detached'],
  [/\b(hold|request) (is|was|be|had been) (opened|open)\b|\b[Hh]old\b.{0,20}\bopened again\b/, 'signatures are requested'],
  [/\bopening of (the |this )?hold\b|\bhold\.opened\b/, 'signatures are requested'],
  [/\b(cannot|can) be told (to|now)\b/, 'the command is (not) allowed now'],
  [/\bas things stand\b/, 'is blocked; now'],
  [/\b(in|into|for) (a )?new histor(y|ies)\b|\bleft? (its|their) histor(y|ies) for\b/, 'continues as new'],
  [/\b(take|takes|took|taken) (it|them|the change|the same change) (over|for (its|their) own)\b/, 'adopts'],
  [/\bmarks? of (a |the |dead |other )?runs?\b|\b(find|lift|sweep)Marks\b|\bmarks\.(found|lifted|kept)\b/, 'owner annotations'],
  [/\bat the door\b/, 'refused by the validator'],
  [/\b(Course|DrainScene|BudgetLedger|DocumentPlaces|planWayBack|openingsMax)\b/, 'the names of docs/glossary.md'],
];

/** Where a text still uses a retired word: `line: sentence`. */
export function retiredWordsIn(text: string): { line: number; sentence: string }[] {
  return text.split('\n').flatMap((line, index) =>
    retiredWords.flatMap(([pattern, instead]) => {
      const found = pattern.exec(line);
      return found ? [{ line: index + 1, sentence: `"${found[0]}" is not our word; write: ${instead}` }] : [];
    }),
  );
}
