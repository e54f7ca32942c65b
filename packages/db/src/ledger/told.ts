/** Texts of failures as they are stored. */
import { storableText } from '@eventflow/core'

/** The longest stored text of a failure, in characters. */
const MAX_TEXT = 2_000

/** Messages may contain anything; characters that Postgres cannot store must not fail the batch that reports them. */
export function toldText(text: string): string {
  return storableText(text, MAX_TEXT)
}

/** A value as JSON text, with its texts shortened and made storable in the same way. */
export function storableJson(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === 'string' ? toldText(part) : part))
}
