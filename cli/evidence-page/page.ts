import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { visibleJson } from '../../domain/visible.ts';
import { UsageError } from '../errors.ts';
import { builtFile } from '../program-files.ts';
import type { PageData } from './data.ts';
import { dataElement, pageElement } from './ids.ts';

/** How large a page may become: browsers still open that at once. */
const pageBytesMax = 64 * 1024 * 1024;

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
.verdict { padding: .8rem 1rem; border: 2px solid; border-radius: .4rem; font-weight: 600; }
.ok { border-color: #18794e; } .open { border-color: #b57600; } .broken { border-color: #c62a2f; color: #c62a2f; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #8884; }
pre, code { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
p, li, td { overflow-wrap: anywhere; }
.more { opacity: .8; }
`;

/**
 * A record as one page of HTML that loads nothing, and verifies the record in the browser that shows it. The data stand in it as JSON, and
 * the policy of the page lets nothing run but its own script.
 */
export async function evidencePage(data: PageData): Promise<string> {
  const script = await readFile(builtFile('cli/evidence-page.js'), 'utf8').catch(() => {
    throw new UsageError('The script of the page is not built.', 'Build it with: npm run build');
  });
  const page = pageOf(data, script);
  const bytes = Buffer.byteLength(page);
  if (bytes <= pageBytesMax) return page;
  const remedy = 'Use `holdpoint evidence show` without --html, and `evidence verify --output` to hand the record on.';
  throw new UsageError(`The page would have ${bytes} bytes, and ${pageBytesMax} are the most that it may have.`, remedy);
}

/** The text of the page around a script. */
export function pageOf(data: PageData, script: string): string {
  if (/<\/script|<!--/i.test(script)) throw new RangeError('the script would end its own element');
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ];
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy.join('; ')}">`,
    '<meta name="referrer" content="no-referrer">',
    '<meta name="viewport" content="width=device-width">',
    '<title>Record of a run</title>',
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    `<main id="${pageElement}"><p class="verdict broken">Nothing has been verified yet: this needs JavaScript.</p></main>`,
    `<script type="application/json" id="${dataElement}">${asData(data)}</script>`,
    `<script>${script}</script>`,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

/** JSON without a character that HTML could take for the beginning of something, or that nobody sees. */
function asData(data: PageData): string {
  const escaped = { '<': '\\u003c', '>': '\\u003e', '&': '\\u0026' } as const;
  return visibleJson(JSON.stringify(data)).replace(/[<>&]/g, (character) => escaped[character as keyof typeof escaped]);
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
