/** Where the page has its data, and where its script puts what it shows. */
export const dataElement = 'data';
export const pageElement = 'page';
