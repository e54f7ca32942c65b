/** Tables: what their columns are called, and how they fit on a phone. */
import type { ComponentChildren } from 'preact'

interface Column {
  name: string
  /** A number stands at the right; what is unseen is still read out. */
  is?: 'number' | 'unseen'
}

/** A column of numbers. */
export const number = (name: string): Column => ({ name, is: 'number' })

/** The column of what can be done with a row. */
export const ACTIONS: Column = { name: 'Actions', is: 'unseen' }

interface TableProps {
  label: string
  columns: readonly (string | Column)[]
  /** Whether each row is as a whole the link that it has. */
  links?: boolean
  /** The rows. */
  children: ComponentChildren
}

/** What is wider than a phone scrolls by itself, also by keyboard. */
export function Table({ label, columns, links, children }: TableProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard.
    <section class="scroll" tabIndex={0} aria-label={label}>
      <table class={links ? 'rows' : ''}>
        <thead>
          <tr>
            {columns.map((column) => {
              const { name, is }: Column = typeof column === 'string' ? { name: column } : column
              return (
                <th scope="col" class={is === 'number' ? is : ''} key={name}>
                  {is === 'unseen' ? <span class={is}>{name}</span> : name}
                </th>
              )
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  )
}
