/** Registers versions: those of definitions at a start, and those that come over HTTP. */
import { isDeepStrictEqual } from 'node:util'
import type { CompatibilityMode, Problem } from '@eventflow/core'
import {
  addSchemaVersion,
  type Db,
  findSameSchema,
  readCompatibility,
  readSchemaVersions,
  type SchemaSubject,
  setCompatibility,
} from '@eventflow/db'
import { compileFaults, type Incompatibility, incompatibilitiesOf } from './examination.js'
import type { Examine } from './examiner.js'

/** The most versions of one type. */
const MAX_VERSIONS = 200
/** How often a registration is tried again after a concurrent one. */
const TRIES = 5

/** The parts of a definition that are registered. */
export interface RegisteredDefinition {
  type: string
  schema: object
  compatibility?: CompatibilityMode
  upcast?: Readonly<Record<number, unknown>>
}

/** The schema of a definition cannot become a version. The message names the type, the place and the remedy. */
export class SchemaRegistrationError extends Error {
  override name = 'SchemaRegistrationError'
}

/**
 * Registers the schemas of definitions that are not registered yet, and resolves with the version of each type. Several
 * processes may run it at the same time. Rejects with SchemaRegistrationError if a schema is not compatible with the
 * registered versions.
 */
export async function registerDefinitions(
  db: Db,
  tenantId: string,
  definitions: Iterable<RegisteredDefinition>,
): Promise<Map<string, number>> {
  const versions = new Map<string, number>()
  for (const definition of definitions) {
    const subject = { tenantId, type: definition.type }
    if (definition.compatibility) {
      await setCompatibility(db, { ...subject, compatibility: definition.compatibility, by: 'definition' })
    }
    versions.set(definition.type, await registerDefinition(db, subject, definition))
  }
  return versions
}

async function registerDefinition(db: Db, subject: SchemaSubject, definition: RegisteredDefinition): Promise<number> {
  const { type, upcast = {} } = definition
  const lifted = Math.max(0, ...Object.keys(upcast).map(Number))
  const refuse = (why: string) => {
    throw new SchemaRegistrationError(`event type '${type}': ${why}`)
  }
  // As it will be stored: a TypeBox schema has properties that JSON lacks.
  const schema = JSON.parse(JSON.stringify(definition.schema))
  for (let tries = 0; tries < TRIES; tries++) {
    // Read first, so that a version that is added after this is noticed.
    const earlier = await readSchemaVersions(db, subject)
    const ofCode = earlier.filter(({ origin }) => origin === 'code')
    const same = ofCode.findLast((one) => isDeepStrictEqual(one.schema, schema))?.version
    if (same !== undefined) {
      if (same > lifted) return same
      refuse(`its upcasters end at version ${lifted + 1}, but its schema is version ${same}`)
    }
    const [fault] = compileFaults(schema)
    if (fault) refuse(`its schema ${fault.pointer} ${fault.message}`)
    const mode = await readCompatibility(db, subject)
    // Versions over HTTP since the first definition only made the schema stricter, so a definition is compared with the
    // definitions only.
    const found = incompatibilitiesOf(schema, mode, ofCode.length > 0 ? ofCode : earlier)
    // Data that upcasters convert is never read as it was written.
    const [first] = found.filter(({ version, direction }) => direction === 'forward' || version > lifted)
    if (first) {
      refuse(
        [
          `its schema is not ${mode} compatible with the registered version ${first.version}: `,
          `${first.path || 'the schema'} ${first.rule}. `,
          `Change it, or give the definition an upcaster from version ${first.version}, or compatibility: 'NONE'`,
        ].join(''),
      )
    }
    const after = earlier.at(-1)?.version ?? 0
    const version = Math.max(after, lifted) + 1
    if (await addSchemaVersion(db, { ...subject, schema, version, after, origin: 'code', by: 'definition' })) {
      return version
    }
  }
  return refuse('its schema could not be registered, because of concurrent registrations')
}

/** The result of registering a schema over HTTP. */
export type Registration =
  | { status: 'registered' | 'known'; version: number }
  | { status: 'invalid'; faults: Problem[] }
  | { status: 'incompatible'; mode: CompatibilityMode; incompatibilities: Incompatibility[] }
  | { status: 'full' | 'contended' }

/** Registers a schema as the next version, unless it is the same as the last one. Rejects with TooManyWaitingError. */
export async function registerSchema(
  db: Db,
  examine: Examine,
  { schema, by, ...subject }: SchemaSubject & { schema: object; by: string },
): Promise<Registration> {
  for (let tries = 0; tries < TRIES; tries++) {
    const [earlier, mode] = [await readSchemaVersions(db, subject), await readCompatibility(db, subject)]
    const { faults, incompatibilities } = await examine(subject.tenantId, schema, mode, earlier)
    if (faults.length > 0) return { status: 'invalid', faults }
    const after = earlier.at(-1)?.version ?? 0
    if (after > 0 && (await findSameSchema(db, subject, schema)) === after) return { status: 'known', version: after }
    if (incompatibilities.length > 0) return { status: 'incompatible', mode, incompatibilities }
    if (earlier.length >= MAX_VERSIONS) return { status: 'full' }
    const version = after + 1
    if (await addSchemaVersion(db, { ...subject, schema, version, after, origin: 'api', by })) {
      return { status: 'registered', version }
    }
  }
  return { status: 'contended' }
}
