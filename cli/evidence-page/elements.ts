import { visible } from '../../domain/visible.ts';

/** As much of a browser's elements as the page uses: there is no way in it to have a text taken for HTML. */
export interface PageElement {
  textContent: string | null;
  className: string;
  append(...children: (PageElement | string)[]): void;
}

/** As much of a browser's document as the page uses. */
export interface PageDocument {
  title: string;
  getElementById(id: string): PageElement | null;
  createElement(tag: Tag): PageElement;
}

type Tag = 'h1' | 'h2' | 'h3' | 'p' | 'ul' | 'li' | 'table' | 'tr' | 'th' | 'td' | 'pre' | 'code' | 'details' | 'summary' | 'section';

export type Make = (tag: Tag, ...children: (PageElement | string)[]) => PageElement;

/** Makes elements in which every text is visible, whoever has written it. */
export function makerIn(document: PageDocument): Make {
  return (tag, ...children) => {
    const element = document.createElement(tag);
    element.append(...children.map((child) => (typeof child === 'string' ? visible(child, Number.MAX_SAFE_INTEGER) : child)));
    return element;
  };
}
