/** All checks of a new version before it is stored. The duration depends on the schema, so run it in a thread. */
import { type CompatibilityMode, compileSchema, type Problem, pointerTo, schemaFaults } from '@eventflow/core'
import type { Difference } from './comparison.js'
import { differencesBetween } from './differences.js'
import { disjoint, fieldOf } from './disjoint.js'
import { dereferenceIn, filledFields, isPlain, type Node, type Schema } from './schema-node.js'

export interface Version {
  version: number
  schema: object
  /** Its origin: a definition, or HTTP. */
  origin?: 'code' | 'api'
}

/** A difference and the version it is to; `direction` says which of the two cannot read the other. */
export interface Incompatibility extends Difference {
  version: number
  direction: 'backward' | 'forward'
  message: string
}

export interface Examination {
  /** Why the schema is rejected. If there are faults, it was not compared. */
  faults: Problem[]
  incompatibilities: Incompatibility[]
}

/** Examines a schema that came over HTTP. `earlier` are all versions in order. */
export function examine(schema: object, mode: CompatibilityMode, earlier: readonly Version[]): Examination {
  const faults = compileFaults(schema)
  if (faults.length > 0) return { faults, incompatibilities: [] }
  return { faults, incompatibilities: [...clashes(schema, earlier), ...incompatibilitiesOf(schema, mode, earlier)] }
}

/**
 * Conflicts in which no value fits both the schema and that of the definition. Data is checked against both in every
 * mode.
 */
function clashes(schema: Node, earlier: readonly Version[]): Incompatibility[] {
  const own = earlier.findLast(({ origin }) => origin === 'code')
  if (!own) return []
  const { version } = own
  const root: Node = own.schema
  const apart = (a: Schema, b: Schema) => disjoint(a, b, dereferenceIn(schema), dereferenceIn(root))
  if (!apart(schema, root)) return []
  const fields = Object.keys(schema.properties ?? {}).filter((name) =>
    apart(schema.properties[name], fieldOf(root, name)),
  )
  const paths = fields.length > 0 ? fields.map((name) => pointerTo('/properties', name)) : ['']
  const message = `no data fits both the new schema and version ${version} of the definition`
  return paths.map((path) => ({ path, rule: 'NOTHING_FITS', version, direction: 'forward' as const, message }))
}

/** Returns the faults of a schema of events, including defaults that do not fit where they are filled in. */
export function compileFaults(schema: object): Problem[] {
  const faults = schemaFaults(schema)
  return faults.length > 0 ? faults : defaultFaults(schema)
}

function defaultFaults(root: Node): Problem[] {
  const faults: Problem[] = []
  const dereference = dereferenceIn(root)
  const seen = new Set<Schema>()
  const visit = (schema: Schema, pointer: string): void => {
    const node = dereference(schema)
    if (typeof node !== 'object' || seen.has(node) || !isPlain(node)) return
    seen.add(node)
    for (const name of filledFields(node)) {
      const { $defs } = root
      const field = node.properties[name] as Node
      const problems = compileSchema($defs ? { ...field, $defs } : field)(field.default)
      const at = pointerTo(pointerTo(pointerTo(pointer, 'properties'), name), 'default')
      if (problems.length > 0) faults.push({ pointer: at, message: `does not fit: ${problems[0]!.message}` })
    }
    for (const [name, field] of Object.entries<Schema>(node.properties ?? {})) {
      visit(field, pointerTo(pointerTo(pointer, 'properties'), name))
    }
    if (node.items !== undefined) visit(node.items, pointerTo(pointer, 'items'))
  }
  visit(root, '')
  return faults
}

/**
 * What a mode finds wrong with a schema as the next version. BACKWARD: readers with the new schema can read data
 * written for the old one. FORWARD: the other way round. The mode says whether the last version or all are compared.
 */
export function incompatibilitiesOf(
  schema: object,
  mode: CompatibilityMode,
  earlier: readonly Version[],
): Incompatibility[] {
  const compared = mode.endsWith('_TRANSITIVE') ? earlier : earlier.slice(-1)
  const isBackward = mode.startsWith('BACKWARD') || mode.startsWith('FULL')
  const isForward = mode.startsWith('FORWARD') || mode.startsWith('FULL')
  return compared.flatMap(({ version, schema: old }) => [
    ...(isBackward ? differencesBetween(old, schema) : []).map((difference) => ({
      ...difference,
      version,
      direction: 'backward' as const,
      message: `data that fits version ${version} may not fit the new schema`,
    })),
    ...(isForward ? differencesBetween(schema, old) : []).map((difference) => ({
      ...difference,
      version,
      direction: 'forward' as const,
      message: `data that fits the new schema may not fit version ${version}`,
    })),
  ])
}
