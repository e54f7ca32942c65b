/** Formats one line of a process' log for people. */
import { styleText } from 'node:util'
import { printable } from '@eventflow/core'

type Colour = 'cyan' | 'magenta' | 'yellow' | 'green' | 'blue' | 'red' | 'dim'

/** Colours a text, or leaves it unchanged if there is no terminal. */
export type Paint = (colour: Colour, text: string) => string

/** Returns a {@link Paint} with or without colours. */
export function painter(colours: boolean): Paint {
  return colours ? (colour, text) => styleText(colour, text, { validateStream: false } as object) : (_, text) => text
}

/** Fields that every line has, or that the prefix already shows. */
const NOT_SHOWN = new Set(['level', 'time', 'msg', 'pid', 'hostname', 'service', 'worker_id', 'err', 'config'])

const LEVELS: Record<string, Colour | undefined> = {
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
  debug: 'dim',
  trace: 'dim',
}

/**
 * Formats a JSON line like `12:01:07 INFO listening address=…`; any other line stays the same. Removes control
 * characters from both.
 */
export function readable(line: string, paint: Paint): string {
  const entry = parse(line)
  if (!entry) return printable(line)
  const fields = Object.entries(entry).filter(([name]) => !NOT_SHOWN.has(name))
  const shown = fields
    .map(([name, value]) => ` ${paint('dim', `${printable(name)}=`)}${printable(text(value))}`)
    .join('')
  return `${said(entry.level, new Date(entry.time), entry.msg, paint)}${shown}${printable(cause(entry))}`
}

/** Formats a message of `up` itself in the same form. */
export function said(level: string, time: Date, message: string, paint: Paint): string {
  const colour = LEVELS[level]
  const name = printable(level.toUpperCase()).padEnd(5)
  return `${paint('dim', time.toTimeString().slice(0, 8))} ${colour ? paint(colour, name) : name} ${printable(message)}`
}

interface Entry extends Record<string, unknown> {
  level: string
  time: string
  msg: string
}

function parse(line: string): Entry | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const entry = JSON.parse(line)
    return typeof entry.level === 'string' && 'time' in entry ? { msg: '', ...entry } : undefined
  } catch {
    return undefined
  }
}

function text(value: unknown): string {
  return typeof value === 'string' && !/[\s"]/.test(value) ? value : JSON.stringify(value)
}

/** The logged error: its stack on separate lines if the level is error or higher, otherwise its message. */
function cause({ level, err }: Entry): string {
  if (typeof err !== 'object' || err === null) return ''
  const { stack, message } = err as { stack?: string; message?: string }
  const serious = level === 'error' || level === 'fatal'
  return serious ? `\n${stack ?? message}` : `: ${message}`
}
