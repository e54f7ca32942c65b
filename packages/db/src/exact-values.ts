/** Values as statements of users' code get them: a number that JavaScript would round is an error, never another number. */
import pg from 'pg'

/** Stands in a row for a value with a number that JavaScript does not keep. */
class Rounded {
  constructor(readonly digits: string) {}
}

const OID = { json: 114, int8: 20, jsonArray: 199, int8Array: 1016, numericArray: 1231, jsonb: 3802, jsonbArray: 3807 }
const CHECKED = new Set([OID.json, OID.int8, OID.jsonArray, OID.int8Array, OID.jsonb, OID.jsonbArray])

/** `numeric` comes as text in any case, and so do its arrays. */
export const EXACT_TYPES = new pg.TypeOverrides()
// What it is said to be in the types of pg is not what it is.
const arrays = pg.types.arrayParser as unknown as {
  create(text: string, read: (text: string) => unknown): { parse(): unknown }
}
const arrayOf = (read: (text: string) => unknown) => (text: string) => arrays.create(text, read).parse()
EXACT_TYPES.setTypeParser(OID.int8, readInt8)
EXACT_TYPES.setTypeParser(OID.json, readJson)
EXACT_TYPES.setTypeParser(OID.jsonb, readJson)
EXACT_TYPES.setTypeParser(OID.int8Array, arrayOf(readInt8))
EXACT_TYPES.setTypeParser(OID.jsonArray, arrayOf(readJson))
EXACT_TYPES.setTypeParser(OID.jsonbArray, arrayOf(readJson))
EXACT_TYPES.setTypeParser(OID.numericArray, arrayOf(String))

/** The rows of a result that was read with `EXACT_TYPES`; of several statements, the last one's. Throws where one would be rounded. */
export function exactRows(result: pg.QueryResult | pg.QueryResult[]): unknown[] {
  const last = Array.isArray(result) ? result.at(-1) : result
  const { fields = [], rows = [] } = last ?? {}
  for (const { name, dataTypeID } of fields) {
    if (!CHECKED.has(dataTypeID)) continue
    for (const row of rows) {
      const rounded = roundedIn(row[name])
      if (rounded) {
        throw new Error(
          `the column "${name}" holds ${rounded.digits}, which no number of JavaScript is exactly: select it as text (${name}::text)`,
        )
      }
    }
  }
  return rows
}

function roundedIn(value: unknown): Rounded | undefined {
  if (value instanceof Rounded) return value
  return Array.isArray(value) ? value.map(roundedIn).find((found) => found) : undefined
}

function readInt8(text: string): number | Rounded {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : new Rounded(text)
}

function readJson(text: string): unknown {
  const digits = roundedNumberIn(text)
  return digits === undefined ? JSON.parse(text) : new Rounded(digits)
}

/** The first number in a JSON text that `JSON.parse` would change. */
function roundedNumberIn(text: string): string | undefined {
  // Every number of fewer characters is kept, and most texts have no longer one.
  if (!/[\d.]{16}|\d[eE]/.test(text)) return undefined
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)) {
    if (!token.startsWith('"') && isRounded(token)) return token
  }
  return undefined
}

/** As at the door for events: 17 digits of a fraction are how some write a double. */
function isRounded(token: string): boolean {
  const number = Number(token)
  if (!Number.isFinite(number) || (Number.isInteger(number) && !Number.isSafeInteger(number))) return true
  const digits = token
    .replace(/[eE].*/, '')
    .replace(/[-.]/g, '')
    .replace(/^0+/, '')
  return digits.replace(/0+$/, '').length > 17
}
