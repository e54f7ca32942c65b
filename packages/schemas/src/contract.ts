/**
 * A contract: how the data of an event is checked, which defaults are filled in before, and, for old versions, which
 * upcasters run.
 */
import { createHash } from 'node:crypto'
import { compileSchema, type Extensions, type Payload, type SchemaCheck } from '@eventflow/core'
import type { SchemaSubject } from '@eventflow/db'
import { type Shape, shapeOf } from './shape.js'

export interface Contract {
  check: SchemaCheck
  shape: Shape
  /** SHA-256 of the schema's JSON text. */
  fingerprint: string
}

/**
 * Compiles a contract. Throws if the schema is invalid. Use `firstOnly` for schemas that came over HTTP: it limits the
 * cost of a check.
 */
export function contractOf(schema: object, options?: { firstOnly: boolean }): Contract {
  const fingerprint = createHash('sha256').update(JSON.stringify(schema)).digest('base64')
  return { check: compileSchema(schema, options), shape: shapeOf(schema), fingerprint }
}

/** Converts data to the next version. It may change its argument. */
export type Upcaster = (data: Payload) => Payload

/** The contract of a definition. */
export interface OwnContract extends Contract {
  /** Sorted by the version that they upgrade. */
  upcasters: readonly [version: number, upcaster: Upcaster][]
}

/** Compiles the contract of a definition. Throws if the schema is invalid. */
export function ownContractOf(definition: {
  schema: object
  upcast?: Readonly<Record<number, Upcaster>>
}): OwnContract {
  // JavaScript iterates over integer keys in numeric order.
  const upcasters = Object.entries(definition.upcast ?? {}).map(([version, upcaster]): [number, Upcaster] => [
    Number(version),
    upcaster,
  ])
  return { ...contractOf(definition.schema), upcasters }
}

/** The fields of an event that determine its schema. */
export interface Written extends SchemaSubject {
  extensions?: Extensions | undefined
  /** Takes precedence over the version that the event states. */
  schemaVersion?: number
}

/** A version that the data of an event must be checked against. */
export interface WantedVersion extends SchemaSubject {
  version: number
}

/** Returns the version that an event states: its `dataschema` ends like the URL of a version of its type. */
export function statedVersion({ type, extensions, schemaVersion }: Omit<Written, 'tenantId'>): number | undefined {
  if (schemaVersion !== undefined) return schemaVersion
  const address = extensions?.dataschema
  if (typeof address !== 'string') return undefined
  const [, name, version] = /(?:^|\/)schemas\/([^/]+)\/versions\/([1-9]\d{0,8})$/.exec(address) ?? []
  return name === type || name === encodeURIComponent(type) ? Number(version) : undefined
}
