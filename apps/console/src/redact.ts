/** Which parts of an event are hidden until the user reveals them. */

/**
 * Whether the part at `path` (names and indexes from the root) matches one of the `sensitive` pointers, in which `*`
 * matches anything.
 */
export function isSensitive(path: readonly string[], sensitive: readonly string[]): boolean {
  return sensitive.some((pointer) => {
    const parts = pointer
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    return parts.length === path.length && parts.every((part, i) => part === '*' || part === path[i])
  })
}
