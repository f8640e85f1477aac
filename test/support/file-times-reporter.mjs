/** Files that are shown, the slowest ones. */
const filesShownMax = 15;
/** A file that takes longer is worth a look: say so, but never fail for it, since it depends on the machine and what else it does. */
const fileSecondsMax = 60;

/** Prints which test files took the longest, and all of them together; the files run side by side, so the suite is faster than that. */
export default class FileTimesReporter {
  onRunComplete(_contexts, { testResults, startTime }) {
    if (testResults.length < 2) return;
    const files = testResults
      .map(({ testFilePath, perfStats }) => ({ file: testFilePath.slice(process.cwd().length + 1), seconds: perfStats.runtime / 1000 }))
      .sort((one, other) => other.seconds - one.seconds);
    const sum = files.reduce((total, { seconds }) => total + seconds, 0);
    const shown = files.slice(0, filesShownMax).map(({ file, seconds }) => `  ${seconds.toFixed(1).padStart(6)} s  ${file}`);
    const wall = ((Date.now() - startTime) / 1000).toFixed(0);
    const lines = [
      `\nTime by file (${files.length} files, ${sum.toFixed(0)} s in all, ${wall} s by the clock), the slowest first:`,
      ...shown,
    ];
    const slow = files.filter(({ seconds }) => seconds > fileSecondsMax);
    for (const { file, seconds } of slow) {
      lines.push(
        `Warning: ${file} took ${seconds.toFixed(0)} s, more than ${fileSecondsMax} s. Unless the machine was busy, make it faster.`,
      );
    }
    process.stdout.write(`${lines.join('\n')}\n`);
  }
}
