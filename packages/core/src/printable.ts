/**
 * Makes foreign texts safe to print: the terminal obeys nothing in them, and their lines appear in their real order.
 */

/**
 * What a terminal would obey or not show: control characters of C0 (but tab and line feed), DEL and C1; marks,
 * embeddings, overrides and isolates of direction (Unicode's UAX 9); separators of lines and paragraphs.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/**
 * The text with each of those characters escaped like `\u001b`. JSON has them only inside strings, so it keeps its
 * meaning. Layout is the caller's: to keep a text on one line, remove its line feeds and tabs first.
 */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
