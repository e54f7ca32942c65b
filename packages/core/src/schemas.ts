/** Compiles the schema of an event type into a check that answers with JSON pointers. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Problem } from './failure.js'
import { pointerTo } from './pointer.js'

/** What is wrong with the data, up to MAX_PROBLEMS; empty when it is valid. */
export type SchemaCheck = (data: unknown) => Problem[]

/** Whoever has twenty things wrong does not need the twenty-first. */
const MAX_PROBLEMS = 20

/** Knows what a schema is. One for all, since it is by far the dearest part of an instance. */
const dialect = new Ajv2020({ strict: false })

/**
 * Compiles a JSON Schema (2020-12; a TypeBox schema is one). Strict: nothing is coerced, dropped or filled in.
 * `firstOnly` stops at the first thing that is wrong, which bounds what a check can cost. Throws when the schema is not valid.
 */
export function compileSchema(schema: object, { firstOnly = false } = {}): SchemaCheck {
  if (!dialect.validateSchema(schema)) throw new Error(`schema is invalid: ${dialect.errorsText(dialect.errors)}`)
  const ajv = new Ajv2020({
    meta: false,
    validateSchema: false,
    allErrors: !firstOnly,
    strict: true,
    strictRequired: false,
    strictTypes: false,
    allowUnionTypes: true,
  })
  addFormats.default(ajv)
  // For those who show events: what it says is nobody's business at first sight.
  ajv.addKeyword({ keyword: 'x-sensitive', schemaType: 'boolean' })
  const check = ajv.compile(schema)
  return (data) => {
    if (check(data)) return []
    return (check.errors ?? []).slice(0, MAX_PROBLEMS).map(({ instancePath, keyword, params, message }) => {
      const member = params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty
      return {
        pointer: member === undefined ? instancePath : pointerTo(instancePath, member),
        message: allowedOnly(params) ?? message ?? keyword,
      }
    })
  }
}

/** Whether a problem is that something is not there, in the words of ajv. */
export function isMissing({ message }: Problem): boolean {
  return message.startsWith('must have required property')
}

/** ajv says that the value is not allowed, and keeps to itself which ones are. */
function allowedOnly({ allowedValue, allowedValues }: Record<string, unknown>): string | undefined {
  if (allowedValue !== undefined) return `must be ${JSON.stringify(allowedValue)}`
  return Array.isArray(allowedValues)
    ? `must be one of ${allowedValues.map((v) => JSON.stringify(v)).join(', ')}`
    : undefined
}
