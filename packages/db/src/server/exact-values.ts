/** Values as statements of users' code get them: a number that JavaScript would round arrives as its text, never as another number. */
import { parseKeepingDigits } from '@eventflow/core'
import pg from 'pg'

const OID = { json: 114, int8: 20, jsonArray: 199, int8Array: 1016, numericArray: 1231, jsonb: 3802, jsonbArray: 3807 }

// What it is said to be in the types of pg is not what it is.
const arrays = pg.types.arrayParser as unknown as {
  create(text: string, read: (text: string) => unknown): { parse(): unknown }
}
const arrayOf = (read: (text: string) => unknown) => (text: string) => arrays.create(text, read).parse()

/** `numeric` is text in any case, and so are the elements of its arrays. */
export const EXACT_TYPES = new pg.TypeOverrides()
EXACT_TYPES.setTypeParser(OID.int8, readInt8)
EXACT_TYPES.setTypeParser(OID.json, parseKeepingDigits)
EXACT_TYPES.setTypeParser(OID.jsonb, parseKeepingDigits)
EXACT_TYPES.setTypeParser(OID.int8Array, arrayOf(readInt8))
EXACT_TYPES.setTypeParser(OID.jsonArray, arrayOf(parseKeepingDigits))
EXACT_TYPES.setTypeParser(OID.jsonbArray, arrayOf(parseKeepingDigits))
EXACT_TYPES.setTypeParser(OID.numericArray, arrayOf(String))

function readInt8(text: string): number | string {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : text
}

/** The rows of a result; of several statements, the last one's. */
export function rowsIn(result: pg.QueryResult | pg.QueryResult[]): unknown[] {
  const last = Array.isArray(result) ? result.at(-1) : result
  return last?.rows ?? []
}
