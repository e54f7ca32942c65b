/** Loads the folder of event definitions. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type EventDefinition, isDefinition } from './define-event.js'
import { importTypeScript } from './import-typescript.js'

/**
 * Loads every file of a folder that ends in `.js`, `.mjs`, `.ts` or `.mts` (not those of its subfolders): the
 * definitions by event type. A file's default export is what `defineEvent` gave, or a list of that.
 * Tests (`*.test.*`), declarations (`*.d.ts`) and files that start with `_` are passed over.
 *
 * Throws when anything is not as it should be, naming the file; also when there is no definition at all, because a
 * worker without any would dead-letter every event.
 */
export async function loadDefinitions(folder: string): Promise<Map<string, EventDefinition>> {
  const definitions = new Map<string, EventDefinition>()
  const definedIn = new Map<string, string>()
  for (const file of await definitionFiles(folder)) {
    for (const definition of await definitionsIn(file)) {
      const other = definedIn.get(definition.type)
      if (other) throw new Error(`event type '${definition.type}' is defined twice: in ${other} and in ${file}`)
      definedIn.set(definition.type, file)
      definitions.set(definition.type, definition)
    }
  }
  if (definitions.size === 0) throw new Error(`there are no event definitions in ${folder}`)
  return definitions
}

async function definitionFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`cannot read the folder of event definitions ${folder}: ${cause.message}`, { cause })
  })
  return entries
    .filter((entry) => !entry.isDirectory() && isDefinitionFile(entry.name))
    .map((entry) => join(folder, entry.name))
    .sort()
}

function isDefinitionFile(name: string): boolean {
  return /\.m?[jt]s$/.test(name) && !/^_|\.test\.|\.d\.m?ts$/.test(name)
}

async function definitionsIn(file: string): Promise<EventDefinition[]> {
  const { default: exported } = await importFile(file)
  if (exported === undefined) throw new Error(`${file} has no default export`)
  const definitions: unknown[] = Array.isArray(exported) ? exported : [exported]
  if (!definitions.every(isDefinition)) {
    throw new Error(`the default export of ${file} must be made by defineEvent(…), or be a list of such definitions`)
  }
  return definitions
}

async function importFile(file: string): Promise<{ default?: unknown }> {
  try {
    return await (/\.m?ts$/.test(file) ? importTypeScript(file) : import(pathToFileURL(file).href))
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`cannot import ${file}: ${message}`, { cause })
  }
}
