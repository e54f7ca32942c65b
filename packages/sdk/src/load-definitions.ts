/** Loads the folder of event definitions. */
import { inspect } from 'node:util'
import { type EventDefinition, isDefinition } from './define-event.js'
import { describeSubfolders, findDefinitionFiles } from './definition-files.js'
import { describeFailure } from './import-failure.js'
import { type ImportLimits, importFile } from './import-file.js'

export interface LoadOptions extends Partial<ImportLimits> {
  /** Called with warnings for the log that do not end the start. */
  warn?: (message: string) => void
}

/** An import that takes longer is reported, or given up, in milliseconds. */
const TELL_AFTER_MS = 5_000
const GIVE_UP_AFTER_MS = 60_000

/**
 * Loads every file of a folder that ends in `.js`, `.mjs`, `.ts` or `.mts`: returns the definitions by event type. A
 * file's default export is a result of `defineEvent`, or a list of them. Ignores tests (`*.test.*`), declarations
 * (`*.d.ts`) and files whose names begin with `_` or `.`; calls `warn` for subfolders that seem to hold definitions.
 *
 * Throws on any mistake, naming the file; also when there is no definition at all, because a worker without any would
 * dead-letter every event.
 */
export async function loadDefinitions(
  folder: string,
  { warn = () => {}, tellAfterMs = TELL_AFTER_MS, giveUpAfterMs = GIVE_UP_AFTER_MS }: LoadOptions = {},
): Promise<Map<string, EventDefinition>> {
  const definitions = new Map<string, EventDefinition>()
  const definedIn = new Map<string, string>()
  const { files, inSubfolders } = await findDefinitionFiles(folder)
  const notLoaded = describeSubfolders(inSubfolders)
  if (notLoaded) warn(notLoaded)
  for (const file of files) {
    for (const definition of await definitionsIn(file, { warn, tellAfterMs, giveUpAfterMs })) {
      const other = definedIn.get(definition.type)
      if (other) throw new Error(`event type '${definition.type}' is defined twice: in ${other} and in ${file}`)
      definedIn.set(definition.type, file)
      definitions.set(definition.type, definition)
    }
  }
  if (definitions.size === 0) {
    throw new Error([`no event definitions in ${folder}`, ...(notLoaded ? [notLoaded] : [])].join('; '))
  }
  return definitions
}

async function definitionsIn(file: string, limits: Required<LoadOptions>): Promise<EventDefinition[]> {
  const { exported } = await exportedBy(file, limits)
  const definitions: unknown[] = Array.isArray(exported) ? exported : [exported]
  for (const [index, definition] of definitions.entries()) {
    if (isDefinition(definition)) continue
    const where = Array.isArray(exported) ? `[${index}] ` : ''
    throw new Error(
      `the default export of ${file} must be made by defineEvent(…), or be a list of such definitions: ${where}${what(definition)}`,
    )
  }
  return definitions as EventDefinition[]
}

/** The default export, wrapped in an object: it may be a promise, which must not be awaited. */
async function exportedBy(file: string, limits: Required<LoadOptions>): Promise<{ exported: unknown }> {
  let exported: unknown
  try {
    exported = (await importFile(file, limits)).default
  } catch (cause) {
    throw new Error(`cannot import ${await describeFailure(file, cause)}`, { cause })
  }
  if (exported === undefined) throw new Error(`${file} has no default export: write export default defineEvent({ … })`)
  return { exported }
}

/** Describes what was exported instead of a definition, and the likely cause. */
function what(exported: unknown): string {
  if (exported instanceof Promise) return 'it is a promise; write await before it'
  if (typeof exported === 'function') return 'it is a function; export its result'
  if (Array.isArray(exported)) return 'it is a list inside the list'
  if (typeof exported !== 'object' || exported === null) return `it is ${inspect(exported)}`
  return 'it is an object that defineEvent did not make, or a copy of one that it made'
}
