/** Compiles the schema of an event type into a check that answers with JSON pointers. */
import type { ErrorObject, ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Problem } from './failure.js'
import { addFormats } from './formats.js'
import { pointerTo } from './pointer.js'
import { isAnnotation, isRecord, mapSchema } from './schema-keywords.js'

/** What is wrong with the data, up to MAX_PROBLEMS; empty when it is valid. */
export type SchemaCheck = (data: unknown) => Problem[]

/** Whoever has twenty things wrong does not need the twenty-first. */
const MAX_PROBLEMS = 20

/** A schema that is none: each problem points into it. */
export class SchemaError extends Error {
  override name = 'SchemaError'
  constructor(readonly problems: Problem[]) {
    super(problems.map(({ pointer, message }) => (pointer ? `${pointer} ${message}` : message)).join('; '))
  }
}

/** Knows what a schema is. One for all, since it is by far the dearest part of an instance. */
const dialect = new Ajv2020({ strict: false, allErrors: true })

/** The formats that are checked; others are notes. */
export const CHECKED_FORMATS: ReadonlySet<string> = new Set(
  Object.keys(addFormats(new Ajv2020({ meta: false })).formats),
)

/**
 * Compiles a JSON Schema (2020-12; a TypeBox schema is one) as that has it: keywords and formats that are not known are notes.
 * Nothing is coerced, dropped or filled in. `firstOnly` stops at the first thing that is wrong, which bounds what a check can
 * cost; `elsewhere` are formats that the caller checks. Throws SchemaError when the schema is not valid.
 */
export function compileSchema(
  schema: object,
  { firstOnly = false, elsewhere = [] }: { firstOnly?: boolean; elsewhere?: readonly string[] } = {},
): SchemaCheck {
  // A note may look like a schema, and would be searched for names that references mean.
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

/** Characters of a name that a pointer has: a sender makes thousands of long ones, and each is escaped. */
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

/** Names that are told to people who used another one. */
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

/** What the schema of schemas found wrong. Of alternatives each says that it is not it, which is no help. */
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
