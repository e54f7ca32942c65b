/** Makes definitions of any kind: copies what a user wrote, checks the copy, and marks it. */
import { branded, hasBrand, propertyOf } from '@eventflow/core'
import { shown } from './definition-mistakes.js'

export interface DefinitionKind {
  /** What is defined, in messages: `event type`. */
  what: string
  /** The field that names a definition. */
  named: string
  /**
   * Marks a checked definition; a copy with changed fields lacks the mark. A registered symbol, because a definition
   * may come from another copy of this module.
   */
  mark: symbol
  /** Copies the values of fields that may change later. A copier may throw. */
  copied: Readonly<Record<string, (value: unknown) => unknown>>
  /** Every mistake as `field: what is wrong`. Never throws, for any value. */
  mistakesIn(definition: unknown): string[]
}

/** Returns a frozen, marked copy of a definition. Throws, naming it and every mistake. */
export function makeDefinition(kind: DefinitionKind, definition: unknown): object {
  const copy = copyOf(definition, kind.copied)
  const mistakes = kind.mistakesIn(copy)
  if (mistakes.length > 0) {
    throw new TypeError(`the definition of ${kind.what} ${nameOf(copy, kind)} is wrong:\n  ${mistakes.join('\n  ')}`)
  }
  return branded(kind.mark, copy as object)
}

/** Whether `makeDefinition` made the value, for this kind. */
export function isOfKind({ mark }: DefinitionKind, value: unknown): boolean {
  return hasBrand(mark, value)
}

/** A list as a frozen copy; anything else as it is. */
export function frozenList(value: unknown): unknown {
  return Array.isArray(value) ? Object.freeze([...value]) : value
}

/** An object as a frozen copy; anything else as it is. */
export function frozenObject(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? Object.freeze({ ...value }) : value
}

/** Reads each field once: later changes of the object, or getters in it, cannot affect the checked values. */
function copyOf(definition: unknown, copied: DefinitionKind['copied']): unknown {
  try {
    if (typeof definition !== 'object' || definition === null) return definition
    const copy: Record<string, unknown> = { ...definition }
    for (const [field, copier] of Object.entries(copied)) {
      if (copy[field] !== undefined) copy[field] = copier(copy[field])
    }
    return copy
  } catch (cause) {
    throw new TypeError(`reading a definition threw ${shown(cause)}`, { cause })
  }
}

function nameOf(definition: unknown, { named }: DefinitionKind): string {
  const name = propertyOf(definition, named)
  return typeof name === 'string' ? JSON.stringify(name) : shown(name)
}
