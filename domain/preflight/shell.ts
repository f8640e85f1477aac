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

/** What a shell is started through, and what hands signals on to it. */
const wrappers = ['env', 'nice', 'ionice', 'nohup', 'stdbuf'];
const initPrograms = ['tini', 'tini-static', 'dumb-init', 'catatonit', 's6-svscan', 'docker-init'];

/**
 * Whether SIGTERM stays with a shell that is the main process, whatever shell that is: `sh -c` with a script that neither ends in an
 * `exec` nor traps signals, started directly or through such as `env`. Some shells replace themselves by a script of one command, others
 * do not: such a script `may` keep it. Under tini, dumb-init and the like the shell is not the main process.
 */
export function shellKeepsSignals(command: readonly string[]): 'does' | 'may' | undefined {
  const names = command.map((word) => word.split('/').at(-1) ?? '');
  if (initPrograms.includes(names[0] ?? '')) return undefined;
  let place = 0;
  while (wrappers.includes(names[place] ?? '') || (place > 0 && /^-|=/.test(command[place] ?? ''))) place += 1;
  const own = command.slice(place);
  if (shellProblem(own)) return 'does';
  const [program = '', ...rest] = own;
  if (!shells.includes(program.split('/').at(-1) ?? '')) return undefined;
  const flag = rest.findIndex((word) => /^-[a-z]*c[a-z]*$/.test(word));
  const script = flag < 0 ? undefined : rest[flag + 1];
  if (script === undefined || script.trim() === '' || /(^|[\s;&|(])(exec|trap)\s/.test(script)) return undefined;
  return 'may';
}
