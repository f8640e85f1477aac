import type { Command, Option } from 'commander';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import type { Terminal } from '../terminal.ts';

/** A command as a shell completes it. */
interface Completed {
  /** `keys list`. */
  words: string;
  summary: string;
  options: { flags: string[]; says: string; choices: string[]; takesFile: boolean; takesValue: boolean }[];
  commands: { name: string; says: string }[];
}

const shells: Readonly<Record<string, (program: string, commands: readonly Completed[]) => string[]>> = { bash, zsh, fish };

export const registerCompletion: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('completion'))
    .description('Prints a script that completes commands, options and their values. It is made of the same declarations as the help.')
    .argument('<shell>', `${Object.keys(shells).join(', ')}`)
    .addHelpText(
      'after',
      '\nExamples:\n  source <(holdpoint completion bash)\n  holdpoint completion zsh > "${fpath[1]}/_holdpoint"\n' +
        '  holdpoint completion fish > ~/.config/fish/completions/holdpoint.fish\n\nExit codes: 0 printed, 2 bad input.',
    )
    .action(async (shell: string, options: CommonOptions) => {
      const terminal = context.terminal(options);
      const write = Object.hasOwn(shells, shell) ? shells[shell] : undefined;
      if (!write) throw new UsageError(`There is no completion for ${shell}.`, `There is one for ${Object.keys(shells).join(', ')}.`);
      print(write(program.name(), completedIn(await context.declarations())), shell, terminal);
    });
};

function print(lines: readonly string[], shell: string, terminal: Terminal): void {
  terminal.result({ shell, script: lines.join('\n') });
  for (const line of lines) terminal.verbatim(line);
}

function completedIn(command: Command, words = ''): Completed[] {
  const own: Completed = {
    words,
    summary: command.summary() || command.description(),
    options: [
      ...command.options.map(completedOption),
      { flags: ['-h', '--help'], says: 'help', choices: [], takesFile: false, takesValue: false },
    ],
    commands: command.commands.map((child) => ({ name: child.name(), says: child.summary() || child.description() })),
  };
  return [own, ...command.commands.flatMap((child) => completedIn(child, `${words} ${child.name()}`.trim()))];
}

function completedOption({ short, long, description, argChoices = [], required, optional, flags }: Option): Completed['options'][number] {
  const names = [short, long].filter((name): name is string => name !== undefined);
  return {
    flags: names,
    says: description,
    choices: argChoices,
    takesFile: /<(file|folder)>/.test(flags),
    takesValue: required || optional,
  };
}

/** In single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function bash(program: string, commands: readonly Completed[]): string[] {
  const cases = commands.map(({ words, options, commands: children }) => {
    const all = [...children.map(({ name }) => name), ...options.flatMap(({ flags }) => flags)];
    return `    ${quoted(words)}) words=${quoted(all.join(' '))} ;;`;
  });
  const values = commands.flatMap(({ words, options }) =>
    options.flatMap(({ flags, choices, takesFile, takesValue }) =>
      takesValue
        ? flags.map(
            (flag) =>
              `    ${quoted(`${words} ${flag}`)}) ${takesFile ? 'compopt -o default; return' : `words=${quoted(choices.join(' '))}`} ;;`,
          )
        : [],
    ),
  );
  return [
    `# Completes ${program} in bash: source <(${program} completion bash)`,
    `_${program}() {`,
    "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path='' word words known",
    `  local commands=${quoted(commands.map(({ words }) => `|${words.replaceAll(' ', '/')}|`).join(' '))}`,
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
    '    known="${path:+$path/}$word"',
    '    if [[ $commands == *"|$known|"* ]]; then path=$known; fi',
    '  done',
    '  path=${path//\\// }',
    '  case "$path $previous" in',
    ...values,
    '    *)',
    '  case "$path" in',
    ...cases,
    '  esac ;;',
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    '}',
    `complete -F _${program} ${program}`,
  ];
}

function zsh(program: string, commands: readonly Completed[]): string[] {
  const described = (name: string, says: string): string => quoted(`${name.replaceAll(':', '\\:')}:${says.replaceAll('\n', ' ')}`);
  const cases = commands.map(({ words, options, commands: children }) => {
    const all = [
      ...children.map(({ name, says }) => described(name, says)),
      ...options.flatMap(({ flags, says }) => flags.map((flag) => described(flag, says))),
    ];
    return `    (${quoted(words)}) described=(${all.join(' ')}) ;;`;
  });
  const values = commands.flatMap(({ words, options }) =>
    options.flatMap(({ flags, choices, takesFile, takesValue }) =>
      takesValue
        ? flags.map(
            (flag) =>
              `    (${quoted(`${words} ${flag}`)}) ${takesFile ? '_files' : `compadd -- ${choices.map(quoted).join(' ')}`}; return ;;`,
          )
        : [],
    ),
  );
  return [
    `#compdef ${program}`,
    `# Completes ${program} in zsh: put it into a folder of $fpath as _${program}.`,
    `_${program}() {`,
    "  local at='' known; local -a described known_commands",
    `  known_commands=(${commands.map(({ words }) => quoted(words)).join(' ')})`,
    '  for word in ${words[2,CURRENT-1]}; do',
    '    known="${at:+$at }$word"',
    '    if (( ${known_commands[(Ie)$known]} )); then at=$known; fi',
    '  done',
    '  case "$at ${words[CURRENT-1]}" in',
    ...values,
    '  esac',
    '  case "$at" in',
    ...cases,
    '  esac',
    `  _describe ${quoted(program)} described`,
    '}',
    `if [ "$funcstack[1]" = "_${program}" ]; then _${program} "$@"; else compdef _${program} ${program}; fi`,
  ];
}

function fish(program: string, commands: readonly Completed[]): string[] {
  const lines = commands.flatMap(({ words, options, commands: children }) => {
    const at = `-n ${quoted(`__${program}_at ${quoted(words)}`)}`;
    return [
      ...children.map(({ name, says }) => `complete -c ${program} ${at} -f -a ${quoted(name)} -d ${quoted(says)}`),
      ...options.map(({ flags, says, choices, takesFile, takesValue }) => {
        const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(' ');
        const value = takesFile ? ' -r -F' : takesValue ? ` -x${choices.length > 0 ? ` -a ${quoted(choices.join(' '))}` : ''}` : '';
        return `complete -c ${program} ${at} ${names}${value} -d ${quoted(says)}`;
      }),
    ];
  });
  return [
    `# Completes ${program} in fish: put it into ~/.config/fish/completions/${program}.fish`,
    `complete -c ${program} -f`,
    `function __${program}_at`,
    `  set -l known ${commands.map(({ words }) => quoted(words)).join(' ')}`,
    "  set -l at ''",
    '  for word in (commandline -opc)[2..]',
    '    set -l next (string trim -- "$at $word")',
    '    if contains -- "$next" $known; set at "$next"; end',
    '  end',
    '  test "$at" = "$argv[1]"',
    'end',
    ...lines,
  ];
}
