/** What the data of an event is held against: a check, what is filled in before it and, for old versions, what lifts them. */
import { createHash } from 'node:crypto'
import { compileSchema, type Extensions, type Payload, type SchemaCheck } from '@eventflow/core'
import type { SchemaSubject } from '@eventflow/db'
import { type Shape, shapeOf } from './shape.js'

export interface Contract {
  check: SchemaCheck
  shape: Shape
  /** The same for two schemas with the same JSON text: SHA-256. */
  fingerprint: string
}

/** Throws when the schema is not valid. `firstOnly` for schemas from outside: it bounds what a check costs. */
export function contractOf(schema: object, options?: { firstOnly: boolean }): Contract {
  const fingerprint = createHash('sha256').update(JSON.stringify(schema)).digest('base64')
  return { check: compileSchema(schema, options), shape: shapeOf(schema), fingerprint }
}

/** Makes the data of the next version. It may change what it is given. */
export type Upcaster = (data: Payload) => Payload

/** What a definition says of its data. */
export interface OwnContract extends Contract {
  /** By the version that they lift, in its order. */
  upcasters: readonly [version: number, upcaster: Upcaster][]
}

/** Throws when the schema is not valid. */
export function ownContractOf(definition: {
  schema: object
  upcast?: Readonly<Record<number, Upcaster>>
}): OwnContract {
  // Names that are numbers come in the order of the numbers.
  const upcasters = Object.entries(definition.upcast ?? {}).map(([version, upcaster]): [number, Upcaster] => [
    Number(version),
    upcaster,
  ])
  return { ...contractOf(definition.schema), upcasters }
}

/** What of an event says which schema is its own. */
export interface Written extends SchemaSubject {
  extensions?: Extensions | undefined
  /** Counts instead of what the event says itself. */
  schemaVersion?: number
}

/** A version that the data of an event is to be held against. */
export interface WantedVersion extends SchemaSubject {
  version: number
}

/** The version that an event says it was written for: `dataschema` ends like the address of a version of its type. */
export function statedVersion({ type, extensions, schemaVersion }: Omit<Written, 'tenantId'>): number | undefined {
  if (schemaVersion !== undefined) return schemaVersion
  const address = extensions?.dataschema
  if (typeof address !== 'string') return undefined
  const [, name, version] = /(?:^|\/)schemas\/([^/]+)\/versions\/([1-9]\d{0,8})$/.exec(address) ?? []
  return name === type || name === encodeURIComponent(type) ? Number(version) : undefined
}
