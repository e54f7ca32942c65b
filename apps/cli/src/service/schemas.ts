/** `eventflow schemas`: what events of a type must look like, and whether that could change. */
import { readFile } from 'node:fs/promises'
import type { Operator } from '@eventflow/client'
import { SetupError } from '@eventflow/local'
import { type Print, table } from '../table.js'

interface Output {
  json?: boolean
  print: Print
  note: Print
}

/** Prints the types that have a schema. Gives the exit code. */
export async function listSchemas(operator: Operator, { json, print, note }: Output): Promise<number> {
  const types = await operator.schemas()
  const rows = types.map(({ type, latest, compatibility, registered_at }) => [
    type,
    `${latest}`,
    compatibility,
    registered_at,
  ])
  if (json) for (const type of types) print(JSON.stringify(type))
  else if (types.length === 0) note('No schema is registered.')
  else print(table(['type', 'version', 'compatibility', 'registered'], rows, ['version']))
  return 0
}

/** Prints a schema; with `json` in one line, with who registered it and when. Gives the exit code: 1 when there is none. */
export async function getSchema(
  operator: Operator,
  type: string,
  { version, json, print, note }: Output & { version?: number },
): Promise<number> {
  const found = await operator.schema(type, version)
  if (!found) {
    note(`No such schema of the type ${type} is registered. To list them: eventflow schemas ls`)
    return 1
  }
  print(json ? JSON.stringify(found) : JSON.stringify(found.schema, null, 2))
  return 0
}

/** Prints which versions there are, the first one first. Gives the exit code: 1 when there is none. */
export async function listVersions(operator: Operator, type: string, { json, print, note }: Output): Promise<number> {
  const found = await operator.schemaVersions(type)
  if (!found) {
    note(`No schema of the type ${type} is registered. To list them: eventflow schemas ls`)
    return 1
  }
  const rows = found.versions.map(({ version, origin, registered_by, registered_at }) => [
    `${version}`,
    origin,
    registered_by,
    registered_at,
  ])
  if (json) for (const version of found.versions) print(JSON.stringify(version))
  else print(table(['version', 'origin', 'registered by', 'registered'], rows, ['version']))
  return 0
}

/** Prints the compatibility mode of a type, after setting it where one is given. Gives the exit code. */
export async function changeCompatibility(
  operator: Operator,
  type: string,
  mode: string | undefined,
  { json, print }: Output,
): Promise<number> {
  const compatibility = mode ? await operator.setCompatibility(type, mode) : await operator.compatibility(type)
  print(json ? JSON.stringify({ type, compatibility }) : compatibility)
  return 0
}

/** Says whether the schema could be the next version. Gives the exit code: 1 when it could not. */
export async function checkSchema(
  operator: Operator,
  type: string,
  schema: object,
  { json, print }: Output,
): Promise<number> {
  const check = await operator.checkSchema(type, schema)
  const faults = check.incompatibilities.map(
    ({ version, direction, path, rule, message }) =>
      `${direction} with version ${version}: ${path || '/'} ${message} (${rule})`,
  )
  if (json) print(JSON.stringify(check))
  else print([`${check.compatible ? 'compatible' : 'not compatible'} (${check.compatibility})`, ...faults].join('\n'))
  return check.compatible ? 0 : 1
}

/** Registers the schema and prints its version. Gives the exit code. */
export async function registerSchema(
  operator: Operator,
  type: string,
  schema: object,
  { json, print }: Output,
): Promise<number> {
  const { version } = await operator.registerSchema(type, schema)
  print(json ? JSON.stringify({ type, version }) : `${type} has version ${version}`)
  return 0
}

/** The schema in a file. Throws SetupError when there is none. */
export async function readSchemaFile(file: string): Promise<object> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new SetupError(`${file} is not a JSON Schema: ${(error as Error).message}`)
  }
}
