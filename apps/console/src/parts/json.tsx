/** JSON to read, with what is sensitive hidden until it is asked for. */
import { useState } from 'preact/hooks'
import type { Json } from '../answers.js'
import { isSensitive } from '../redact.js'
import { Copy } from './basics.js'

/** The data of an event under a heading. */
export function Payload({ title, value, sensitive }: { title: string; value: Json; sensitive: readonly string[] }) {
  const [revealed, setRevealed] = useState(false)
  const hides = sensitive.length > 0
  return (
    <section class="payload">
      <header>
        <h2>{title}</h2>
        {hides && (
          <button type="button" class="quiet" aria-pressed={revealed} onClick={() => setRevealed(!revealed)}>
            {revealed ? 'Hide what is sensitive' : 'Reveal what is sensitive'}
          </button>
        )}
        {(!hides || revealed) && <Copy text={JSON.stringify(value, null, 2)} />}
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard. */}
      <pre class="json" tabIndex={0}>
        <Part value={value} path={[]} hidden={revealed ? [] : sensitive} />
      </pre>
    </section>
  )
}

function Part({ value, path, hidden }: { value: Json; path: readonly string[]; hidden: readonly string[] }) {
  if (isSensitive(path, hidden)) return <span class="hidden">hidden</span>
  const indent = '  '.repeat(path.length + 1)
  const end = `\n${'  '.repeat(path.length)}`
  if (Array.isArray(value)) {
    if (value.length === 0) return <>[]</>
    return (
      <>
        [
        {value.map((item, i) => (
          <span key={i}>
            {`\n${indent}`}
            <Part value={item} path={[...path, `${i}`]} hidden={hidden} />
            {i < value.length - 1 && ','}
          </span>
        ))}
        {`${end}]`}
      </>
    )
  }
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
    if (fields.length === 0) return <>{'{}'}</>
    return (
      <>
        {'{'}
        {fields.map(([name, field], i) => (
          <span key={name}>
            {`\n${indent}`}
            <span class="name">{JSON.stringify(name)}</span>:{' '}
            <Part value={field} path={[...path, name]} hidden={hidden} />
            {i < fields.length - 1 && ','}
          </span>
        ))}
        {`${end}}`}
      </>
    )
  }
  return <span class={value === null ? 'null' : typeof value}>{JSON.stringify(value)}</span>
}
