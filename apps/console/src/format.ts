/** Numbers, times and durations for people; texts quoted for SQL and shells. */
import { unmask } from './unmask.js'

/** 12,345; a small number with one decimal, if it has any. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–'
  return value.toLocaleString('en', { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 })
}

/** 12,345, or 1.23 M above a million: for narrow places. */
export function roughly(value: number | null): string {
  if (value === null || value < 1e6) return count(value)
  const billions = value >= 1e9
  const digits = (value / (billions ? 1e9 : 1e6)).toLocaleString('en', { maximumSignificantDigits: 3 })
  return `${digits} ${billions ? 'G' : 'M'}`
}

/** 850 µs, 12 ms, 1.4 s, 2 min, 3 h, 4 d; at most three digits. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–'
  const digits = (value: number) => value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 })
  if (seconds === 0) return '0 s'
  if (seconds < 0.001) return `${digits(seconds * 1e6)} µs`
  if (seconds < 1) return `${digits(seconds * 1e3)} ms`
  if (seconds < 120) return `${digits(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}

/** Today 12:01:07, and before that 3 Mar 12:01:07; in the browser's time zone. */
export function time(iso: string, now = new Date()): string {
  const date = new Date(iso)
  const clock = date.toLocaleTimeString('en-GB')
  if (date.toDateString() === now.toDateString()) return clock
  const year = date.getFullYear() === now.getFullYear() ? '' : ` ${date.getFullYear()}`
  return `${date.getDate()} ${date.toLocaleString('en', { month: 'short' })}${year} ${clock}`
}

/** A moment as `datetime-local` wants it: without a zone, in the browser's. */
export function localTime(iso: string | undefined): string {
  if (!iso) return ''
  const date = new Date(iso)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}

/** The entered time in RFC 3339; empty if none was entered. */
export const fromLocalTime = (text: string) => (text ? new Date(text).toISOString() : '')

/** How long ago, or in how long. */
export function ago(iso: string, now = Date.now()): string {
  const seconds = (now - new Date(iso).getTime()) / 1_000
  if (Math.abs(seconds) < 1) return 'now'
  return seconds > 0 ? `${duration(Math.round(seconds))} ago` : `in ${duration(Math.round(-seconds))}`
}

/** The share of `part` in all: <0.1 %, 3.5 %, 12 %. */
export function percent(part: number, all: number): string {
  if (all === 0) return '0 %'
  const share = (100 * part) / all
  if (share > 0 && share < 0.1) return '<0.1 %'
  return `${share.toLocaleString('en', { maximumFractionDigits: share < 10 ? 1 : 0 })} %`
}

/** The end of an id, in which ids differ. */
export const shortId = (id: string) => id.slice(-8)

/** A text as a SQL literal, with invisible characters escaped. */
export function quoted(text: string): string {
  const plain = text.replaceAll("'", "''")
  const escaped = unmask(text.replaceAll(/['\\]/g, '\\$&'), escapeCode)
  return unmask(text) === text ? `'${plain}'` : `E'${escaped}'`
}

/** A text as one word for a shell, with invisible characters escaped for bash and zsh. */
export function shellWord(text: string): string {
  if (/^[\w./:@-]+$/.test(text)) return text
  if (unmask(text) === text) return `'${text.replaceAll("'", `'\\''`)}'`
  return `$'${unmask(text.replaceAll(/['\\]/g, '\\$&'), escapeCode)}'`
}

/** `\U0000202E`, which Postgres and shells read alike. */
const escapeCode = (code: number) => `\\U${code.toString(16).toUpperCase().padStart(8, '0')}`
