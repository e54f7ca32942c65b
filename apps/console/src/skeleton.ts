/** A draft of an event's data from its schema, to fill in. */
import type { Json, Schema } from './answers.js'

const MAX_DEPTH = 8

/** Returns every required field, with the value that the schema suggests, or an empty value of the right type. */
export function draftOf(schema: Schema, depth = 0): Json {
  const suggested = schema.const ?? schema.default ?? schema.examples?.[0] ?? schema.enum?.[0]
  if (suggested !== undefined) return suggested
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'object' || schema.properties) {
    if (depth > MAX_DEPTH) return {}
    const required = new Set(schema.required)
    const fields = Object.entries(schema.properties ?? {}).filter(([name]) => required.has(name))
    return Object.fromEntries(fields.map(([name, field]) => [name, draftOf(field, depth + 1)]))
  }
  if (type === 'array') return schema.items && depth < MAX_DEPTH ? [draftOf(schema.items, depth + 1)] : []
  if (type === 'integer' || type === 'number') return schema.minimum ?? 0
  if (type === 'boolean') return false
  return type === 'string' ? draftOfText(schema) : null
}

function draftOfText({ format }: Schema): string {
  if (format === 'date-time') return new Date().toISOString()
  if (format === 'date') return new Date().toISOString().slice(0, 10)
  if (format === 'email') return 'ada@example.com'
  return ''
}

/** Describes a field in a few words: "integer, 1 to 12,451", "text, 3 to 4 characters". */
export function describeField(schema: Schema): string {
  const type = Array.isArray(schema.type) ? schema.type.join(' or ') : schema.type === 'string' ? 'text' : schema.type
  const range = (from: number | undefined, to: number | undefined, unit: string) => {
    if (from !== undefined && to !== undefined)
      return `${from.toLocaleString('en')} to ${to.toLocaleString('en')}${unit}`
    if (from !== undefined) return `${from.toLocaleString('en')} or more${unit}`
    return to === undefined ? undefined : `at most ${to.toLocaleString('en')}${unit}`
  }
  return [
    schema.enum ? schema.enum.map(String).join(', ') : type,
    schema.format,
    range(schema.minimum, schema.maximum, ''),
    range(schema.minLength, schema.maxLength, ' characters'),
    schema.pattern && `matches ${schema.pattern}`,
  ]
    .filter(Boolean)
    .join(', ')
}
