/** Values for statements of users' code: a number that JavaScript would round arrives as text. */
import { parseKeepingDigits } from '@eventflow/core'
import pg from 'pg'

const OID = { json: 114, int8: 20, jsonArray: 199, int8Array: 1016, numericArray: 1231, jsonb: 3802, jsonbArray: 3807 }

// The type declaration of pg is wrong.
const arrays = pg.types.arrayParser as unknown as {
  create(text: string, read: (text: string) => unknown): { parse(): unknown }
}
const arrayOf = (read: (text: string) => unknown) => (text: string) => arrays.create(text, read).parse()

/** `numeric` and the elements of its arrays are always text. */
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

/** Returns the rows of a result; of several statements, those of the last one. */
export function rowsIn(result: pg.QueryResult | pg.QueryResult[]): unknown[] {
  const last = Array.isArray(result) ? result.at(-1) : result
  return last?.rows ?? []
}
