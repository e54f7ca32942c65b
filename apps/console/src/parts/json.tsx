/** JSON, with sensitive fields hidden until revealed, and large values shown in steps. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { Json } from '../answers.js'
import { count } from '../format.js'
import { isSensitive } from '../redact.js'
import { unmask } from '../unmask.js'
import { Copy } from './basics.js'

/** Values shown at first; each step multiplies them by STEP. */
const VALUES = 500
const STEP = 10

/** How much may still be shown: values in all, and characters of each text. */
interface Budget {
  values: number
  characters: number
  /** Whether something is not shown. */
  exceeded: boolean
}

/** The data of an event under a heading. */
export function Payload({ title, value, sensitive }: { title: string; value: Json; sensitive: readonly string[] }) {
  const [revealed, setRevealed] = useState(false)
  const [values, setValues] = useState(VALUES)
  const hides = sensitive.length > 0
  const budget: Budget = { values, characters: 4 * values, exceeded: false }
  const shown = partsOf(value, [], revealed ? [] : sensitive, budget)
  return (
    <section class="payload">
      <header>
        <h2>{title}</h2>
        {hides && (
          <button type="button" class="quiet" aria-pressed={revealed} onClick={() => setRevealed(!revealed)}>
            {revealed ? 'Hide sensitive fields' : 'Show sensitive fields'}
          </button>
        )}
        {(!hides || revealed) && <Copy text={() => JSON.stringify(value, null, 2)} />}
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard. */}
      <pre class="json" tabIndex={0}>
        {shown}
      </pre>
      {budget.exceeded && (
        <div class="buttons">
          <button type="button" onClick={() => setValues(STEP * values)}>
            Show more
          </button>
        </div>
      )}
    </section>
  )
}

/** The value with its contents, as far as the budget allows. */
function partsOf(value: Json, path: readonly string[], hidden: readonly string[], budget: Budget): ComponentChildren {
  budget.values--
  if (isSensitive(path, hidden)) return <span class="hidden">hidden</span>
  const of = (name: string, part: Json) => partsOf(part, [...path, name], hidden, budget)
  if (Array.isArray(value)) {
    return block('[]', path.length, value.length, budget, (i) => of(`${i}`, value[i]!))
  }
  if (typeof value === 'object' && value !== null) {
    const names = Object.keys(value)
    return block('{}', path.length, names.length, budget, (i) => (
      <>
        <span class="name">{textOf(names[i]!, budget)}</span>: {of(names[i]!, value[names[i]!]!)}
      </>
    ))
  }
  const text = typeof value === 'string' ? textOf(value, budget) : JSON.stringify(value)
  return <span class={value === null ? 'null' : typeof value}>{text}</span>
}

function block(
  ends: '[]' | '{}',
  depth: number,
  length: number,
  budget: Budget,
  part: (i: number) => ComponentChildren,
): ComponentChildren {
  if (length === 0) return ends
  const indent = `\n${'  '.repeat(depth + 1)}`
  const parts: ComponentChildren[] = []
  while (parts.length < length && budget.values > 0) {
    const i = parts.length
    parts.push(
      <span key={i}>
        {indent}
        {part(i)}
        {i < length - 1 && ','}
      </span>,
    )
  }
  const more = length - parts.length
  if (more > 0) budget.exceeded = true
  return (
    <>
      {ends[0]}
      {parts}
      {more > 0 && (
        <span class="hidden">
          {indent}and {count(more)} more
        </span>
      )}
      {`\n${'  '.repeat(depth)}${ends[1]}`}
    </>
  )
}

/** A text in JSON, with invisible characters escaped. */
function textOf(text: string, budget: Budget): ComponentChildren {
  if (text.length <= budget.characters) return escaped(text)
  budget.exceeded = true
  return (
    <>
      {escaped(text.slice(0, budget.characters))}
      <span class="hidden">and {count(text.length - budget.characters)} more characters</span>
    </>
  )
}

const escaped = (text: string) =>
  unmask(JSON.stringify(text), (code) => {
    const units = String.fromCodePoint(code)
    return Array.from(
      { length: units.length },
      (_, i) => `\\u${units.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join('')
  })
