/** Compiles the schema of an event type into a check that answers with JSON pointers. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Problem } from './failure.js'

/** What is wrong with the data; empty when it is valid. */
export type SchemaCheck = (data: unknown) => Problem[]

/**
 * Compiles a JSON Schema (2020-12; a TypeBox schema is one). Strict: nothing is coerced, dropped or filled in.
 * Throws when the schema is not valid.
 */
export function compileSchema(schema: object): SchemaCheck {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false, allowUnionTypes: true })
  addFormats.default(ajv)
  const check = ajv.compile(schema)
  return (data) => {
    if (check(data)) return []
    return (check.errors ?? []).map((error) => {
      const missing = error.keyword === 'required' ? `/${String(error.params.missingProperty)}` : ''
      const extra = error.keyword === 'additionalProperties' ? `/${String(error.params.additionalProperty)}` : ''
      return { pointer: `${error.instancePath}${missing}${extra}`, message: error.message ?? error.keyword }
    })
  }
}
