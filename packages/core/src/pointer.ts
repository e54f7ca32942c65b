/** JSON pointers (RFC 6901): the place of something within a value. */

/** The pointer to a member of the value at `parent`. */
export function pointerTo(parent: string, member: string | number): string {
  return `${parent}/${String(member).toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1')}`
}
