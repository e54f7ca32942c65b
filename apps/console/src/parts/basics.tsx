/** Small parts that all pages use. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { ApiError } from '../api.js'
import { ago, time } from '../format.js'
import { lost, moment } from '../live.js'

/** The heading of a page, with actions beside it. */
export function Heading({ children, aside }: { children: ComponentChildren; aside?: ComponentChildren }) {
  return (
    <header class="heading">
      {/* Keyboard and screen reader users are taken here when the page changes. */}
      <h1 tabIndex={-1}>{children}</h1>
      {aside && <div class="aside">{aside}</div>}
    </header>
  )
}

/** A status as a word and a colour. */
export function Badge({ of }: { of: string }) {
  return <span class={`badge ${of}`}>{of}</span>
}

/** A time; its age appears on hovering. */
export function Time({ at }: { at: string }) {
  return (
    <time dateTime={at} title={`${at} (${ago(at)})`}>
      {time(at)}
    </time>
  )
}

/** An error, usually of a request. */
export function Problem({ error }: { error: Error | undefined }) {
  if (!error) return null
  const { title, faults } = error instanceof ApiError ? error : { title: '', faults: [] }
  return (
    <div class="problem" role="alert">
      {title && <strong>{title}.</strong>} {error.message}
      {faults.length > 1 && (
        <ul>
          {faults.map(({ pointer, message }) => (
            <li key={pointer + message}>
              <code>{pointer}</code> {message}
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}

/** A notice that the shown state of the pipeline is out of date. */
export function Stale() {
  if (!lost.value || !moment.value) return null
  return (
    <p class="problem" role="alert">
      <strong>No connection.</strong> {lost.value} How it is now is not known; this is from{' '}
      <Time at={new Date(moment.value.at).toISOString()} />.
    </p>
  )
}

/** Shown in place of an empty list. */
export function Nothing({ children }: { children: ComponentChildren }) {
  return <p class="nothing">{children}</p>
}

/** `text` may be a function that makes it when it is needed. */
export function Copy({ text, label = 'Copy' }: { text: string | (() => string); label?: string }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(typeof text === 'string' ? text : text())
    setCopied(true)
    setTimeout(() => setCopied(false), 1_500)
  }
  return (
    <button type="button" class="quiet" onClick={copy}>
      <span aria-live="polite">{copied ? 'Copied' : label}</span>
    </button>
  )
}

/** How to get the same without this page. */
export function Same({ sql, cli, http }: { sql?: string; cli?: string; http?: string }) {
  const ways = [
    ['SQL', sql],
    ['Command line', cli],
    ['HTTP', http && `curl -s '${location.origin}${http}'`],
  ].filter((way): way is [string, string] => !!way[1])
  return (
    <details class="same">
      <summary>The same elsewhere</summary>
      {ways.map(([name, text]) => (
        <div class="way" key={name}>
          <h3>{name}</h3>
          <Copy text={text} />
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard. */}
          <pre tabIndex={0}>{text}</pre>
        </div>
      ))}
    </details>
  )
}

/** A small chart of a number over time; the same is in words beside it. */
export function Spark({ values }: { values: readonly number[] }) {
  const most = Math.max(1, ...values)
  const width = 100 / values.length
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      {values.map((value, i) => {
        const height = value === 0 ? 0.6 : Math.max(2, (24 * value) / most)
        return <rect key={i} x={i * width + 0.4} width={width - 0.8} y={24 - height} height={height} />
      })}
    </svg>
  )
}
