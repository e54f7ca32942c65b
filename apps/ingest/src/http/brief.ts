/** Problems in few bytes: what a sender made long or many does not come back long or many. */
import type { Problem } from '@eventflow/core'

/** Problems of one event, and their bytes as JSON; the first is told in any case. */
const MAX_PROBLEMS = 10
const MAX_PROBLEMS_BYTES = 800

/** Bytes of a name in a pointer, of all of a pointer, and of a message; each as it is written in JSON. */
const MAX_NAME_BYTES = 64
const MAX_POINTER_BYTES = 256
const MAX_MESSAGE_BYTES = 256

/** The first problems, as many as fit, each as short as it has to be. */
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

/** A text of `max` bytes at most, as it is written in JSON; where it was cut it ends with "…". */
export function cut(text: string, max: number): string {
  if (text.length <= max && bytesOf(text) <= max) return text
  let short = text.slice(0, max - ELLIPSIS_BYTES)
  while (bytesOf(short) > max - ELLIPSIS_BYTES) short = short.slice(0, short.length / 2)
  return `${short.toWellFormed()}…`
}

const ELLIPSIS_BYTES = 3

/** Events are not deep, so there are few names. */
function cutPointer(pointer: string): string {
  if (pointer.length <= MAX_NAME_BYTES && bytesOf(pointer) <= MAX_NAME_BYTES) return pointer
  const names = pointer.split('/').map((name) => whole(cut(name, MAX_NAME_BYTES)))
  return whole(cut(names.join('/'), MAX_POINTER_BYTES))
}

/** Without the first half of an escape at its end. */
const whole = (cut: string) => cut.replace(/~…$/, '…')

/** Characters that are a byte each in JSON. */
const PLAIN = /^[ !#-[\]-~]*$/

const bytesOf = (text: string) => (PLAIN.test(text) ? text.length : Buffer.byteLength(JSON.stringify(text)) - 2)
