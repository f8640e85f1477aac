import { posix } from 'node:path';
import ts from 'typescript';

/** The files to check: text by path, relative to the project, with `/`. */
export type Files = ReadonlyMap<string, string>;

interface Import {
  node: ts.Node;
  specifier: string;
  /** Whether the module is loaded for it; `import type` is gone when the program runs. */
  isValue: boolean;
}

interface Unit {
  path: string;
  folder: string;
  tree: ts.SourceFile;
  imports: Import[];
}

interface FolderLaw {
  /** Folders, and single files of other folders, that may be imported. */
  ours: string[];
  /** Packages and `node:` modules that may be imported; any where left out. */
  packages?: string[];
}

/** Who may import whom (docs: the house). `bench` and `test` may import anything. */
const folderLaws: Record<string, FolderLaw> = {
  domain: {
    ours: ['domain'],
    packages: [
      'canonicalize',
      '@noble/hashes',
      '@noble/curves',
      '@noble/ed25519',
      '@marcbachmann/cel-js',
      're2js',
      'temporal-polyfill',
      'rrule-temporal',
      'ical.js',
    ],
  },
  runbooks: {
    ours: ['domain', 'runbooks'],
    packages: ['zod', 'yaml', 'ajv', 'ajv-formats', 're2js', 'node:fs', 'node:path', 'node:url'],
  },
  workflows: { ours: ['domain', 'workflows'], packages: ['@temporalio/workflow', '@temporalio/common'] },
  activities: { ours: ['domain', 'runbooks', 'activities'] },
  // Whatever a worker does is asked for through Temporal, which it finds as people do; what it asks for itself, at its start, is a sweep.
  worker: {
    ours: [
      'activities',
      'runbooks',
      'domain',
      'workflows/messages.ts',
      'client/connection.ts',
      'client/keys.ts',
      'client/sweep.ts',
      'worker',
    ],
  },
  // A record is verified by the same code that wrote it and let its signatures in: two of them could disagree.
  client: {
    ours: ['runbooks', 'workflows/messages.ts', 'domain', 'client', 'activities/evidence/entries.ts', 'activities/storage'],
  },
  // It asks the client for everything, as the command line does, and has no key to sign with.
  api: { ours: ['client', 'runbooks', 'workflows/messages.ts', 'domain', 'api'] },
  // What runs in a browser: it knows the API by its types alone, and makes what is signed as the command line does.
  console: { ours: ['console', 'domain'], packages: ['react', 'react-dom', 'wouter'] },
  // Drains, checks, looks at backups and probes, with the user's own rights, and calendars: they need no worker.
  cli: {
    ours: [
      'api',
      'worker/configuration-file.ts',
      'client',
      'runbooks',
      'workflows/messages.ts',
      'domain',
      'lab',
      'activities/kubernetes/drain/by-hand.ts',
      'activities/calendar/read-calendars.ts',
      'activities/preflight/check.ts',
      'activities/backup/by-hand.ts',
      'activities/kubernetes/export/by-hand.ts',
      'activities/preflight/reachable.ts',
      'activities/database/by-hand.ts',
      'activities/availability/by-hand.ts',
      'cli',
    ],
  },
  sandbox: { ours: ['sandbox'] },
  // What is built is ours, too: the workflow code as workers run it.
  lab: { ours: ['lab', 'worker/workflow-code.ts'] },
};

/** The folders whose TypeScript is shipped. */
export const sourceFolders = Object.keys(folderLaws);

const temporalClient = '@temporalio/client';
const usersOfTemporalClient = ['client', 'lab', 'bench', 'test'];
const entryPoints = [
  'cli/main.ts',
  'cli/kubectl-holdpoint.ts',
  'cli/evidence-page/script.ts',
  'console/main.tsx',
  'worker/main.ts',
  'sandbox/main.ts',
  'workflows/index.ts',
];
/** Folders whose code must give the same result each time it is run. */
const pureFolders = ['domain', 'workflows'];
const impureNames = ['Date', 'process', 'setTimeout', 'setInterval', 'performance'];
/** What workflow code may be bundled with, besides ours: whatever is in there is replayed. CEL is not: expressions are evaluated once. */
const replayedPackages = ['@temporalio/workflow', '@temporalio/common', 'canonicalize', '@noble/hashes', '@noble/curves', '@noble/ed25519'];
/** Where Temporal begins to replay. */
const replayedFrom = [
  'workflows/index.ts',
  'workflows/client-result-interceptor.ts',
  'workflows/update-size-interceptor.ts',
  'workflows/early-event-interceptor.ts',
];
/** Where the command line may write: everything else goes through them, so that no text of somebody else is obeyed by a terminal. */
const writersOfCli = ['cli/terminal.ts', 'cli/painted.ts', 'cli/screen.ts'];
/** Makes the streams known, and passes on what a worker writes by itself: lines of JSON. */
const holdersOfStreams = [...writersOfCli, 'cli/process.ts', 'cli/commands/worker.ts'];
const functionLinesMax = 70;
const lineCharactersMax = 140;
/** Home and checkout folders of the machines the project was built on; put together so that this file is clean itself. */
const machinePath = new RegExp(`(?:(?<![\\w.~}/-])|(?<=file://))/(?:${['root', 'work'].join('|')})/`);

/** Every offence against the law of the source, as `file:line: sentence`, in the order of the files. */
export function offencesIn(files: Files): string[] {
  const offences = [...files].flatMap(([path, text]) => offencesOfText(path, text));
  const units = [...files.keys()].filter((path) => /\.tsx?$/.test(path)).map((path) => parse(path, files.get(path) ?? ''));
  for (const unit of units) {
    offences.push(...importOffences(unit));
    if (pureFolders.includes(unit.folder)) offences.push(...impurities(unit));
    if (unit.folder === 'cli') offences.push(...waysRoundTheTerminal(unit));
    if (unit.folder in folderLaws) offences.push(...defaultExports(unit));
    if (unit.folder !== 'test') offences.push(...longFunctions(unit));
    if (unit.folder === 'domain') offences.push(...undocumentedFunctions(unit));
  }
  return [...offences, ...replayOffences(units), ...deadFiles(units)];
}

function offencesOfText(path: string, text: string): string[] {
  const isCode = /\.(ts|mjs)$/.test(path);
  return text.split('\n').flatMap((line, index) => {
    const at = `${path}:${index + 1}`;
    const found: string[] = [];
    if (isCode && line.length > lineCharactersMax) {
      found.push(`${at}: the line has ${line.length} characters, ${lineCharactersMax} are allowed`);
    }
    if (machinePath.test(line)) found.push(`${at}: names a path of the machine it was written on`);
    return found;
  });
}

function parse(path: string, text: string): Unit {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const imports: Import[] = [];
  walk(tree, (node) => {
    const found = importOf(node);
    if (found) imports.push(found);
  });
  return { path, folder: path.split('/')[0] ?? '', tree, imports };
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

function importOf(node: ts.Node): Import | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    return { node, specifier: node.moduleSpecifier.text, isValue: node.importClause?.phaseModifier !== ts.SyntaxKind.TypeKeyword };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
    return { node, specifier: node.moduleSpecifier.text, isValue: !node.isTypeOnly };
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [specifier] = node.arguments;
    if (specifier && ts.isStringLiteralLike(specifier)) return { node, specifier: specifier.text, isValue: true };
  }
  return undefined;
}

function at(unit: Unit, node: ts.Node): string {
  return `${unit.path}:${unit.tree.getLineAndCharacterOfPosition(node.getStart(unit.tree)).line + 1}`;
}

function importOffences(unit: Unit): string[] {
  return unit.imports
    .filter(({ isValue }) => isValue)
    .flatMap(({ node, specifier }) => {
      const reason = specifier.startsWith('.') ? offenceOfOurs(unit, specifier) : offenceOfPackage(unit, specifier);
      return reason === undefined ? [] : [`${at(unit, node)}: ${reason}`];
    });
}

function offenceOfOurs(unit: Unit, specifier: string): string | undefined {
  const law = folderLaws[unit.folder];
  const target = posix.join(posix.dirname(unit.path), specifier);
  const mayImport = law?.ours.some((allowed) => target === allowed || target.startsWith(`${allowed}/`)) ?? true;
  return mayImport ? undefined : `${unit.folder} must not import ${target}, only ${law?.ours.join(', ')}`;
}

function offenceOfPackage(unit: Unit, specifier: string): string | undefined {
  const packages = folderLaws[unit.folder]?.packages;
  const isOf = (name: string): boolean => specifier === name || specifier.startsWith(`${name}/`);
  if (isOf(temporalClient) && !usersOfTemporalClient.includes(unit.folder)) {
    return `only client talks to Temporal through ${temporalClient}`;
  }
  if (packages === undefined || packages.some(isOf)) return undefined;
  return `${unit.folder} must not import ${specifier}, only ${packages.join(', ')}`;
}

function impurities(unit: Unit): string[] {
  const offences = unit.tree.statements
    .filter((statement) => ts.isVariableStatement(statement))
    .flatMap(({ declarationList: { flags, declarations } }) =>
      declarations.filter(({ initializer }) => !(flags & ts.NodeFlags.Const) || isEmptyCollection(initializer)),
    )
    .map((declaration) => `${at(unit, declaration)}: a module keeps no state: all runs of a worker share it`);
  walk(unit.tree, (node) => {
    if (ts.isPropertyAccessExpression(node) && node.getText(unit.tree) === 'Math.random') {
      offences.push(`${at(unit, node)}: Math.random gives another result each time`);
    }
    if (ts.isIdentifier(node) && impureNames.includes(node.text) && !isPropertyName(node)) {
      offences.push(`${at(unit, node)}: ${node.text} gives another result each time; take it as a parameter`);
    }
  });
  return offences;
}

function waysRoundTheTerminal(unit: Unit): string[] {
  const offences: string[] = [];
  const offend = (node: ts.Node, what: string): void => {
    offences.push(`${at(unit, node)}: ${what}; write through the Terminal, which makes everything visible`);
  };
  for (const { node, specifier } of unit.imports) {
    if (/^(log-update|picocolors|chalk|ansi-.*)$/.test(specifier) && !writersOfCli.includes(unit.path)) offend(node, specifier);
  }
  walk(unit.tree, (node) => {
    if (ts.isIdentifier(node) && node.text === 'console') offend(node, 'console');
    if (ts.isIdentifier(node) && /^std(out|err)$/.test(node.text) && !holdersOfStreams.includes(unit.path)) offend(node, node.text);
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node);
    if (isText && ['\u001b', '\u009b'].some((escape) => node.text.includes(escape)) && !writersOfCli.includes(unit.path))
      offend(node, 'an escape code');
  });
  return offences;
}

/** What is made empty is there to be filled. */
function isEmptyCollection(made: ts.Expression | undefined): boolean {
  if (!made || !ts.isNewExpression(made)) return false;
  return /^(Weak)?(Map|Set)$/.test(made.expression.getText()) && (made.arguments ?? []).length === 0;
}

/** `step.process`, `{ process: 1 }` and the like only share the name. */
function isPropertyName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) {
    return parent.name === node;
  }
  return ts.isMethodSignature(parent) || ts.isMethodDeclaration(parent) || ts.isPropertyDeclaration(parent);
}

function longFunctions(unit: Unit): string[] {
  const offences: string[] = [];
  walk(unit.tree, (node) => {
    if (!ts.isFunctionLike(node)) return;
    const line = (position: number): number => unit.tree.getLineAndCharacterOfPosition(position).line;
    const lines = line(node.getEnd()) - line(node.getStart(unit.tree)) + 1;
    if (lines > functionLinesMax) offences.push(`${at(unit, node)}: the function has ${lines} lines, ${functionLinesMax} are allowed`);
  });
  return offences;
}

function modifiersOf(node: ts.Node): readonly ts.ModifierLike[] {
  return ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
}

function defaultExports(unit: Unit): string[] {
  const isDefault = (node: ts.Node): boolean =>
    (ts.isExportAssignment(node) && !node.isExportEquals) ||
    (ts.isExportSpecifier(node) && node.name.text === 'default') ||
    modifiersOf(node).some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword);
  const offences: string[] = [];
  walk(unit.tree, (node) => {
    if (isDefault(node)) offences.push(`${at(unit, node)}: default export; give it a name`);
  });
  return offences;
}

function undocumentedFunctions(unit: Unit): string[] {
  return unit.tree.statements
    .filter((node) => modifiersOf(node).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) && declaresFunction(node))
    .filter((node) => ts.getJSDocCommentsAndTags(node).length === 0)
    .map((node) => `${at(unit, node)}: an exported function of domain without a doc comment`);
}

function declaresFunction(node: ts.Statement): boolean {
  if (ts.isFunctionDeclaration(node)) return true;
  if (!ts.isVariableStatement(node)) return false;
  const values = node.declarationList.declarations.map(({ initializer }) => initializer);
  return values.some((value) => value !== undefined && (ts.isArrowFunction(value) || ts.isFunctionExpression(value)));
}

/** The files that Temporal replays: what its workflow code reaches by imports of values. */
export function replayedFiles(files: Files): string[] {
  return [
    ...reachedFrom([...files.keys()].filter((path) => /\.tsx?$/.test(path)).map((path) => parse(path, files.get(path) ?? ''))).keys(),
  ];
}

function reachedFrom(units: readonly Unit[]): Map<string, Unit> {
  const byPath = new Map(units.map((unit) => [unit.path, unit]));
  const reached = new Map<string, Unit>();
  const left = [...replayedFrom];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    const unit = byPath.get(path);
    if (!unit || reached.has(path)) continue;
    reached.set(path, unit);
    for (const { specifier, isValue } of unit.imports) {
      if (isValue && specifier.startsWith('.')) left.push(posix.join(posix.dirname(path), specifier));
    }
  }
  return reached;
}

function replayOffences(units: readonly Unit[]): string[] {
  return [...reachedFrom(units).values()].flatMap((unit) =>
    unit.imports.flatMap(({ node, specifier, isValue }) => {
      const isAllowed =
        specifier.startsWith('.') || replayedPackages.some((name) => specifier === name || specifier.startsWith(`${name}/`));
      return isValue && !isAllowed
        ? [`${at(unit, node)}: workflow code reaches this file, and must not be replayed with ${specifier}`]
        : [];
    }),
  );
}

/** Source files that nothing but tests mentions by path, and that no process starts with. */
function deadFiles(units: readonly Unit[]): string[] {
  const mentioned = new Set<string>(entryPoints);
  for (const unit of units) {
    if (unit.folder === 'test') continue;
    walk(unit.tree, (node) => {
      // Any relative path counts: modules are also named in `new URL('…', import.meta.url)`.
      if (!ts.isStringLiteralLike(node) || !/^\.\.?\/.*\.tsx?$/.test(node.text)) return;
      const target = posix.join(posix.dirname(unit.path), node.text);
      if (target !== unit.path) mentioned.add(target);
    });
  }
  return units
    .filter(({ folder, path }) => folder in folderLaws && !mentioned.has(path))
    .map(({ path }) => `${path}:1: nothing imports this file; remove it`);
}
