const shells = ['sh', 'bash', 'ash', 'dash', 'zsh', 'ksh'];

/**
 * Whether the main process is a shell that keeps running beside the program: `sh -c` with a script of several commands whose last one is
 * not `exec`, and that traps no signal. A script of one command is replaced by it in the shells of present images.
 */
export function shellProblem(command: readonly string[]): boolean {
  const [program = '', ...rest] = command;
  if (!shells.includes(program.split('/').at(-1) ?? '')) return false;
  const place = rest.findIndex((word) => /^-[a-z]*c[a-z]*$/.test(word));
  const script = place < 0 ? undefined : rest[place + 1];
  if (script === undefined) return false;
  const commands = script
    .split(/\n|;|&&|\|\||\||&/)
    .map((text) => text.trim())
    .filter((text) => text !== '' && !text.startsWith('#') && !/^set\s/.test(text));
  if (commands.length < 2 || commands.some((text) => /^trap\s/.test(text))) return false;
  return !commands.some((text) => /(^|\s)exec\s/.test(text));
}
