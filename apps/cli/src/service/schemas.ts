/** `eventflow schemas`: the schemas of event types, and how they may change. */
import { readFile } from 'node:fs/promises'
import type { Operator } from '@eventflow/client'
import { SetupError } from '@eventflow/local'
import { type ShowOptions, showList, showOne } from './show.js'

/** Prints the types that have a schema. Resolves with the exit code. */
export async function listSchemas(operator: Operator, options: ShowOptions): Promise<number> {
  showList(
    await operator.schemas(),
    {
      none: 'No schema is registered.',
      heading: ['type', 'version', 'compatibility', 'registered'],
      right: ['version'],
      rowOf: ({ type, latest, compatibility, registered_at }) => [type, `${latest}`, compatibility, registered_at],
    },
    options,
  )
  return 0
}

/**
 * Prints a schema; with `json` in one line, with its origin and time. Resolves with the exit code: 1 if there is none.
 */
export async function getSchema(
  operator: Operator,
  type: string,
  { version, ...options }: ShowOptions & { version?: number },
): Promise<number> {
  const missing = `No such schema of the type ${type} is registered. To list them: eventflow schemas ls`
  const found = await operator.schema(type, version)
  return showOne(found, { missing, inWords: ({ schema }) => JSON.stringify(schema, null, 2) }, options)
}

/** Prints the versions of a type in order. Resolves with the exit code: 1 if there are none. */
export async function listVersions(operator: Operator, type: string, options: ShowOptions): Promise<number> {
  const found = await operator.schemaVersions(type)
  if (!found) {
    options.note(`No schema of the type ${type} is registered. To list them: eventflow schemas ls`)
    return 1
  }
  showList(
    found.versions,
    {
      heading: ['version', 'origin', 'registered by', 'registered'],
      right: ['version'],
      rowOf: ({ version, origin, registered_by, registered_at }) => [
        `${version}`,
        origin,
        registered_by,
        registered_at,
      ],
    },
    options,
  )
  return 0
}

/** Prints the compatibility mode of a type, after setting it if one is given. Resolves with the exit code. */
export async function changeCompatibility(
  operator: Operator,
  type: string,
  mode: string | undefined,
  { json, print }: ShowOptions,
): Promise<number> {
  const compatibility = mode ? await operator.setCompatibility(type, mode) : await operator.compatibility(type)
  print(json ? JSON.stringify({ type, compatibility }) : compatibility)
  return 0
}

/** Says whether the schema in a file could be the next version. Resolves with the exit code: 1 if it could not. */
export async function checkSchema(
  operator: Operator,
  type: string,
  file: string,
  { json, print }: ShowOptions,
): Promise<number> {
  const check = await operator.checkSchema(type, await readSchemaFile(file))
  const faults = check.incompatibilities.map(
    ({ version, direction, path, rule, message }) =>
      `${direction} with version ${version}: ${path || '/'} ${message} (${rule})`,
  )
  if (json) print(JSON.stringify(check))
  else print([`${check.compatible ? 'compatible' : 'not compatible'} (${check.compatibility})`, ...faults].join('\n'))
  return check.compatible ? 0 : 1
}

/** Registers the schema in a file and prints its version. Resolves with the exit code. */
export async function registerSchema(
  operator: Operator,
  type: string,
  file: string,
  { json, print }: ShowOptions,
): Promise<number> {
  const { version } = await operator.registerSchema(type, await readSchemaFile(file))
  print(json ? JSON.stringify({ type, version }) : `${type} has version ${version}`)
  return 0
}

/** Reads the schema in a file. Rejects with SetupError if there is none. */
async function readSchemaFile(file: string): Promise<object> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new SetupError(`${file} is not a JSON Schema: ${(error as Error).message}`)
  }
}
