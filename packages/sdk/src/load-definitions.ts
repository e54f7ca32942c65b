/** Loads the folder of definitions: event types, consumer groups, windows and joins. */
import { inspect } from 'node:util'
import { type ConsumerDefinition, isConsumer } from './define-consumer.js'
import { type EventDefinition, isEvent } from './define-event.js'
import { isJoin, type JoinDefinition } from './define-join.js'
import { isWindow, type WindowDefinition } from './define-window.js'
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

/** The definitions of a folder. Consumers, windows and joins have different names. */
export interface LoadedDefinitions {
  /** By event type. */
  events: ReadonlyMap<string, EventDefinition>
  /** By name. */
  consumers: ReadonlyMap<string, ConsumerDefinition>
  /** By name. */
  windows: ReadonlyMap<string, WindowDefinition>
  /** By name. */
  joins: ReadonlyMap<string, JoinDefinition>
}

/**
 * Loads every file of a folder that ends in `.js`, `.mjs`, `.ts` or `.mts`. A file's default export is a result of
 * `defineEvent`, `defineConsumer`, `defineWindow` or `defineJoin`, or a list of them. Ignores tests (`*.test.*`),
 * declarations (`*.d.ts`) and files whose names begin with `_` or `.`; calls `warn` for subfolders that seem to hold
 * definitions, and for a consumer, window or join of an event type that the folder does not define.
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
  const windows = new Map<string, WindowDefinition>()
  const joins = new Map<string, JoinDefinition>()
  const definedIn = new Map<string, { title: string; file: string }>()
  const { files, inSubfolders } = await findDefinitionFiles(folder)
  const notLoaded = describeSubfolders(inSubfolders)
  if (notLoaded) warn(notLoaded)
  for (const file of files) {
    for (const definition of await definitionsIn(file, { warn, tellAfterMs, giveUpAfterMs })) {
      const title = titleOf(definition)
      const id = isEvent(definition) ? `event ${definition.type}` : `reader ${definition.name}`
      const other = definedIn.get(id)
      if (other) throw new Error(twice({ title, file }, other))
      definedIn.set(id, { title, file })
      if (isEvent(definition)) events.set(definition.type, definition)
      else if (isWindow(definition)) windows.set(definition.name, definition)
      else if (isJoin(definition)) joins.set(definition.name, definition)
      else consumers.set(definition.name, definition)
    }
  }
  if (events.size === 0) {
    throw new Error([`no event definitions in ${folder}`, ...(notLoaded ? [notLoaded] : [])].join('; '))
  }
  for (const reader of [...consumers.values(), ...windows.values(), ...joins.values()])
    warnOfTypes(reader, events, warn)
  return { events, consumers, windows, joins }
}

type Reader = ConsumerDefinition | WindowDefinition | JoinDefinition
type Definition = EventDefinition | Reader

function titleOf(definition: Definition): string {
  if (isEvent(definition)) return `event type '${definition.type}'`
  const kind = isWindow(definition) ? 'window' : isJoin(definition) ? 'join' : 'consumer'
  return `${kind} '${definition.name}'`
}

function twice(one: { title: string; file: string }, other: { title: string; file: string }): string {
  if (one.title === other.title) return `${one.title} is defined twice: in ${other.file} and in ${one.file}`
  return `${one.title} in ${one.file} has the name of ${other.title} in ${other.file}: consumers, windows and joins need different names`
}

/** Warns of event types that no file of the folder defines. */
function warnOfTypes(
  reader: Reader,
  events: ReadonlyMap<string, EventDefinition>,
  warn: (message: string) => void,
): void {
  const unknown = typesReadBy(reader).filter((type) => !events.has(type))
  if (unknown.length > 0) warn(`${titleOf(reader)} reads event types that are not defined: ${unknown.join(', ')}`)
  if ('emit' in reader && reader.emit !== undefined && !events.has(reader.emit)) {
    warn(`${titleOf(reader)} emits an event type that is not defined: ${reader.emit}`)
  }
}

function typesReadBy(reader: Reader): readonly string[] {
  if (isWindow(reader)) return reader.on
  return isJoin(reader) ? [...new Set([reader.left, reader.right])] : reader.events
}

const KINDS = [isEvent, isConsumer, isWindow, isJoin]

async function definitionsIn(file: string, limits: Required<LoadOptions>): Promise<Definition[]> {
  const { exported } = await exportedBy(file, limits)
  const definitions: unknown[] = Array.isArray(exported) ? exported : [exported]
  for (const [index, definition] of definitions.entries()) {
    if (KINDS.some((isOfKind) => isOfKind(definition))) continue
    const where = Array.isArray(exported) ? `[${index}] ` : ''
    throw new Error(
      `the default export of ${file} must be made by defineEvent(…), defineConsumer(…), defineWindow(…) or defineJoin(…), or be a list of such definitions: ${where}${what(definition)}`,
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
    const functions = 'defineEvent({ … }), or defineConsumer, defineWindow or defineJoin'
    throw new Error(`${file} has no default export: write export default ${functions}`)
  }
  return { exported }
}

/** Describes what was exported instead of a definition, and the likely cause. */
function what(exported: unknown): string {
  if (exported instanceof Promise) return 'it is a promise; write await before it'
  if (typeof exported === 'function') return 'it is a function; export its result'
  if (Array.isArray(exported)) return 'it is a list inside the list'
  if (typeof exported !== 'object' || exported === null) return `it is ${inspect(exported)}`
  return 'it is an object that none of them made, or a copy of one that they made'
}
