/** Limits the size of problems, so that long or many faults of a request do not cause a large answer. */
import type { Problem } from '@eventflow/core'

/** The most problems of one event, and their most bytes as JSON; the first one is always included. */
const MAX_PROBLEMS = 10
const MAX_PROBLEMS_BYTES = 800

/** The most bytes of a name in a pointer, of a whole pointer, and of a message, as written in JSON. */
const MAX_NAME_BYTES = 64
const MAX_POINTER_BYTES = 256
const MAX_MESSAGE_BYTES = 256

/** Returns the first problems, as many as fit, each shortened if necessary. */
export function inBrief(problems: readonly Problem[]): Problem[] {
  const brief: Problem[] = []
  let bytes = 0
  for (const problem of problems.slice(0, MAX_PROBLEMS)) {
    const pointer = cutPointer(problem.pointer)
    const message = cut(problem.message, MAX_MESSAGE_BYTES)
    bytes += bytesOf(pointer) + bytesOf(message)
    if (bytes > MAX_PROBLEMS_BYTES && brief.length > 0) break
    brief.push({ pointer, message })
  }
  return brief
}

/** Shortens a text to at most `max` bytes as written in JSON; a shortened text ends with "…". */
export function cut(text: string, max: number): string {
  if (text.length <= max && bytesOf(text) <= max) return text
  let short = text.slice(0, max - ELLIPSIS_BYTES)
  while (bytesOf(short) > max - ELLIPSIS_BYTES) short = short.slice(0, short.length / 2)
  return `${short.toWellFormed()}…`
}

const ELLIPSIS_BYTES = 3

/** Events are not deeply nested, so there are few names. */
function cutPointer(pointer: string): string {
  if (pointer.length <= MAX_NAME_BYTES && bytesOf(pointer) <= MAX_NAME_BYTES) return pointer
  const names = pointer.split('/').map((name) => whole(cut(name, MAX_NAME_BYTES)))
  return whole(cut(names.join('/'), MAX_POINTER_BYTES))
}

/** Removes half an escape at the end. */
const whole = (cut: string) => cut.replace(/~…$/, '…')

/** Characters that are one byte each in JSON. */
const PLAIN = /^[ !#-[\]-~]*$/

const bytesOf = (text: string) => (PLAIN.test(text) ? text.length : Buffer.byteLength(JSON.stringify(text)) - 2)
