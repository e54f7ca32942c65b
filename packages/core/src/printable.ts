/** Texts of others as they may be printed: a terminal obeys none of them, and their lines read in the order in which they are. */

/**
 * What a terminal would obey or not show: control characters of C0 (but tab and line feed), DEL and C1; marks,
 * embeddings, overrides and isolates of direction (Unicode's UAX 9); separators of lines and paragraphs.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/**
 * The text with each of those characters as `\u001b`. JSON has none of them outside of its strings, so JSON stays the same JSON.
 * Layout comes from the caller: where a text must stay in its line, take its line feeds and tabs out first.
 */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
