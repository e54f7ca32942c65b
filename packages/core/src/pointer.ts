/** JSON pointers (RFC 6901): where in a value something is. */

/** The pointer of a member of what `parent` points to. */
export function pointerTo(parent: string, member: string | number): string {
  return `${parent}/${String(member).toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1')}`
}
