/** Loads the folder of definitions: event types and consumer groups. */
import { inspect } from 'node:util'
import { type ConsumerDefinition, isConsumer } from './define-consumer.js'
import { type EventDefinition, isEvent } from './define-event.js'
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

/** The definitions of a folder. */
export interface LoadedDefinitions {
  /** By event type. */
  events: ReadonlyMap<string, EventDefinition>
  /** By name. */
  consumers: ReadonlyMap<string, ConsumerDefinition>
}

/**
 * Loads every file of a folder that ends in `.js`, `.mjs`, `.ts` or `.mts`. A file's default export is a result of
 * `defineEvent` or `defineConsumer`, or a list of them. Ignores tests (`*.test.*`), declarations (`*.d.ts`) and files
 * whose names begin with `_` or `.`; calls `warn` for subfolders that seem to hold definitions, and for a consumer of
 * an event type that the folder does not define.
 *
 * Throws on any mistake, naming the file; also when there is no event type at all, because a worker without any would
 * dead-letter every event.
 */
export async function loadDefinitions(
  folder: string,
  { warn = () => {}, tellAfterMs = TELL_AFTER_MS, giveUpAfterMs = GIVE_UP_AFTER_MS }: LoadOptions = {},
): Promise<LoadedDefinitions> {
  const events = new Map<string, EventDefinition>()
  const consumers = new Map<string, ConsumerDefinition>()
  const definedIn = new Map<string, string>()
  const { files, inSubfolders } = await findDefinitionFiles(folder)
  const notLoaded = describeSubfolders(inSubfolders)
  if (notLoaded) warn(notLoaded)
  for (const file of files) {
    for (const definition of await definitionsIn(file, { warn, tellAfterMs, giveUpAfterMs })) {
      const title = titleOf(definition)
      const other = definedIn.get(title)
      if (other) throw new Error(`${title} is defined twice: in ${other} and in ${file}`)
      definedIn.set(title, file)
      if ('name' in definition) consumers.set(definition.name, definition)
      else events.set(definition.type, definition)
    }
  }
  if (events.size === 0) {
    throw new Error([`no event definitions in ${folder}`, ...(notLoaded ? [notLoaded] : [])].join('; '))
  }
  for (const consumer of consumers.values()) {
    const unknown = consumer.events.filter((type) => !events.has(type))
    if (unknown.length > 0) warn(`${titleOf(consumer)} reads event types that are not defined: ${unknown.join(', ')}`)
  }
  return { events, consumers }
}

type Definition = EventDefinition | ConsumerDefinition

const titleOf = (definition: Definition) =>
  'name' in definition ? `consumer '${definition.name}'` : `event type '${definition.type}'`

async function definitionsIn(file: string, limits: Required<LoadOptions>): Promise<Definition[]> {
  const { exported } = await exportedBy(file, limits)
  const definitions: unknown[] = Array.isArray(exported) ? exported : [exported]
  for (const [index, definition] of definitions.entries()) {
    if (isEvent(definition) || isConsumer(definition)) continue
    const where = Array.isArray(exported) ? `[${index}] ` : ''
    throw new Error(
      `the default export of ${file} must be made by defineEvent(…) or defineConsumer(…), or be a list of such definitions: ${where}${what(definition)}`,
    )
  }
  return definitions as Definition[]
}

/** The default export, wrapped in an object: it may be a promise, which must not be awaited. */
async function exportedBy(file: string, limits: Required<LoadOptions>): Promise<{ exported: unknown }> {
  let exported: unknown
  try {
    exported = (await importFile(file, limits)).default
  } catch (cause) {
    throw new Error(`cannot import ${await describeFailure(file, cause)}`, { cause })
  }
  if (exported === undefined) {
    throw new Error(`${file} has no default export: write export default defineEvent({ … }) or defineConsumer({ … })`)
  }
  return { exported }
}

/** Describes what was exported instead of a definition, and the likely cause. */
function what(exported: unknown): string {
  if (exported instanceof Promise) return 'it is a promise; write await before it'
  if (typeof exported === 'function') return 'it is a function; export its result'
  if (Array.isArray(exported)) return 'it is a list inside the list'
  if (typeof exported !== 'object' || exported === null) return `it is ${inspect(exported)}`
  return 'it is an object that neither of them made, or a copy of one that they made'
}
