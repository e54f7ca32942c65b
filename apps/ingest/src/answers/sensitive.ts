/** Which fields of an event are hidden by default: those whose schema has `"x-sensitive": true`. */

/** How deep schemas are searched: they may be recursive. */
const MAX_DEPTH = 20

// biome-ignore lint/suspicious/noExplicitAny: any JSON Schema.
type Schema = any

/** Returns JSON pointers into the data; `*` stands for any item of a list and for any name. */
export function sensitivePointers(schema: Schema): string[] {
  const found = new Set<string>()
  const look = (part: Schema, path: string, depth: number): void => {
    if (typeof part !== 'object' || part === null || depth > MAX_DEPTH) return
    if (part['x-sensitive'] === true) {
      found.add(path)
      return
    }
    for (const [name, inner] of Object.entries(part.properties ?? {}))
      look(inner, `${path}/${escaped(name)}`, depth + 1)
    look(part.additionalProperties, `${path}/*`, depth + 1)
    look(part.items, `${path}/*`, depth + 1)
    for (const item of part.prefixItems ?? []) look(item, `${path}/*`, depth + 1)
    for (const way of [...(part.allOf ?? []), ...(part.anyOf ?? []), ...(part.oneOf ?? [])]) look(way, path, depth + 1)
  }
  look(schema, '', 0)
  return [...found]
}

const escaped = (name: string) => name.replaceAll('~', '~0').replaceAll('/', '~1')
