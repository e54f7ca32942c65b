/** Compiles the schema of an event type into a check that reports problems with JSON pointers. */
import type { ErrorObject, ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Problem } from './failure.js'
import { addFormats } from './formats.js'
import { pointerTo } from './pointer.js'
import { isAnnotation, isRecord, mapSchema } from './schema-keywords.js'

/** The problems of the data, up to MAX_PROBLEMS; empty if it is valid. */
export type SchemaCheck = (data: unknown) => Problem[]

/** Twenty problems are enough to report at once. */
const MAX_PROBLEMS = 20

/** The schema itself is invalid: each problem points into it. */
export class SchemaError extends Error {
  override name = 'SchemaError'
  constructor(readonly problems: Problem[]) {
    super(problems.map(({ pointer, message }) => (pointer ? `${pointer} ${message}` : message)).join('; '))
  }
}

/** Validates schemas themselves. It is shared, because it is by far the most expensive part of an instance. */
const dialect = new Ajv2020({ strict: false, allErrors: true })

/** The formats that are checked; others are annotations. */
export const CHECKED_FORMATS: ReadonlySet<string> = new Set(
  Object.keys(addFormats(new Ajv2020({ meta: false })).formats),
)

/**
 * Compiles a JSON Schema (2020-12; TypeBox schemas are JSON Schemas) by the rules of the standard: unknown keywords and
 * formats are annotations. Nothing is coerced, dropped or filled in. `firstOnly` stops at the first problem, which
 * bounds the cost of a check; `elsewhere` are formats that the caller checks. Throws SchemaError if the schema is
 * invalid.
 */
export function compileSchema(
  schema: object,
  { firstOnly = false, elsewhere = [] }: { firstOnly?: boolean; elsewhere?: readonly string[] } = {},
): SchemaCheck {
  // An annotation may look like a schema, and ajv would search it for names that references may target.
  const plain = mapSchema(schema, withoutNotes) as object
  if (!dialect.validateSchema(plain)) throw new SchemaError(dialectProblems())
  const ajv = new Ajv2020({
    meta: false,
    validateSchema: false,
    allErrors: !firstOnly,
    strict: false,
    strictNumbers: true,
    logger: false,
    verbose: true,
  })
  addFormats(ajv)
  for (const format of elsewhere) ajv.addFormat(format, true)
  const check = compileWith(ajv, plain)
  return (data) => {
    if (check(data)) return []
    return withChoices(check.errors ?? [])
      .slice(0, MAX_PROBLEMS)
      .map(problemOf)
  }
}

/** Maximum characters of a name in a pointer: a sender can use thousands of long names, and each is escaped. */
const MAX_NAME = 200

function problemOf({ instancePath, keyword, params, message, parentSchema }: ErrorObject): Problem {
  const unknown = params.additionalProperty ?? params.unevaluatedProperty
  const member = params.missingProperty ?? unknown
  return {
    pointer: member === undefined ? instancePath : pointerTo(instancePath, member.slice(0, MAX_NAME)),
    message:
      unknown === undefined
        ? (allowedOnly(params) ?? message ?? keyword)
        : notKnown(params.additionalProperty === undefined ? {} : parentSchema?.properties),
  }
}

/** Maximum known names listed in the message about an unknown one. */
const MAX_NAMES = 20

function notKnown(properties: object = {}): string {
  const names = Object.keys(properties)
  if (names.length === 0 || names.length > MAX_NAMES) return 'is not known here'
  return `is not known here; known are ${names.join(', ')}`
}

/** A choice of constants gives one error for each alternative; one error that lists all of them is more useful. */
function withChoices(errors: readonly ErrorObject[]): ErrorObject[] {
  const chosen = errors.filter((error) => error.keyword === 'anyOf' && isChoice(error.schema))
  return errors.flatMap((error) => {
    if (chosen.includes(error))
      return { ...error, params: { allowedValues: (error.schema as Choice).map((one) => one.const) } }
    const of = chosen.some(
      ({ instancePath, schemaPath }) =>
        error.instancePath === instancePath && error.schemaPath.startsWith(`${schemaPath}/`),
    )
    return of ? [] : error
  })
}

type Choice = readonly { const: unknown }[]

const isChoice = (schema: unknown) => Array.isArray(schema) && schema.every((one) => isRecord(one) && 'const' in one)

function withoutNotes(node: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(node).filter(([keyword]) => !isAnnotation(keyword)))
}

/**
 * The faults that the meta-schema found. Errors of single alternatives are left out: each only says that it does not
 * match.
 */
function dialectProblems(): Problem[] {
  const errors = dialect.errors ?? []
  const said = errors.filter(({ keyword }) => keyword !== 'anyOf' && keyword !== 'if')
  const problems = (said.length > 0 ? said : errors).map(({ instancePath, message, params }) => ({
    pointer: instancePath,
    message: allowedOnly(params) ?? message ?? 'is not valid',
  }))
  const distinct = new Map(problems.map((problem) => [`${problem.pointer} ${problem.message}`, problem]))
  return [...distinct.values()].slice(0, MAX_PROBLEMS)
}

function compileWith(ajv: Ajv2020, schema: object): ValidateFunction {
  try {
    return ajv.compile(schema)
  } catch (error) {
    const { message, missingRef } = error as Error & { missingRef?: string }
    const why =
      missingRef === undefined
        ? message
        : `refers to ${missingRef}, which is not in this schema: nothing else can be referred to`
    throw new SchemaError([{ pointer: '', message: why }])
  }
}

/** Whether a problem is a missing value, judged by ajv's wording. */
export function isMissing({ message }: Problem): boolean {
  return message.startsWith('must have required property')
}

/** ajv says that the value is not allowed, but does not list the allowed ones. */
function allowedOnly({ allowedValue, allowedValues }: Record<string, unknown>): string | undefined {
  if (allowedValue !== undefined) return `must be ${JSON.stringify(allowedValue)}`
  return Array.isArray(allowedValues)
    ? `must be one of ${allowedValues.map((v) => JSON.stringify(v)).join(', ')}`
    : undefined
}
