/** Tables with named columns, which become cards on a phone. */
import { type ComponentChildren, cloneElement, toChildArray, type VNode } from 'preact'

interface Column {
  name: string
  /** Numbers are aligned right; an unseen heading is only read out. */
  is?: 'number' | 'unseen'
}

/** A column of numbers. */
export const number = (name: string): Column => ({ name, is: 'number' })

/** The column with the actions of a row. */
export const ACTIONS: Column = { name: 'Actions', is: 'unseen' }

interface TableProps {
  label: string
  columns: readonly (string | Column)[]
  /** Whether the whole row acts as its link. */
  links?: boolean
  /** The rows. */
  children: ComponentChildren
}

/**
 * On a phone every row becomes a card, in which each cell shows the name of its column. Elsewhere a wide table scrolls,
 * also by keyboard. Roles are set explicitly, because the layout of a card removes those of a table.
 */
export function Table({ label, columns, links, children }: TableProps) {
  const heads = columns.map((column): Column => (typeof column === 'string' ? { name: column } : column))
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard.
    <section class="scroll" tabIndex={0} aria-label={label}>
      <table class={links ? 'rows' : ''} {...{ role: 'table' }}>
        <thead {...{ role: 'rowgroup' }}>
          <tr {...{ role: 'row' }}>
            {heads.map(({ name, is }) => (
              <th scope="col" {...{ role: 'columnheader' }} class={is === 'number' ? is : ''} key={name}>
                {is === 'unseen' ? <span class={is}>{name}</span> : name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody {...{ role: 'rowgroup' }}>{toChildArray(children).map((row) => asCard(row as VNode, heads))}</tbody>
      </table>
    </section>
  )
}

type Parent = VNode<{ children?: ComponentChildren }>

function asCard(row: Parent, heads: readonly Column[]): VNode {
  // Some of the cells may be a list of their own.
  const cells = (row.props.children as VNode[]).flat().map((cell, i) => {
    const { name, is } = heads[i]!
    return cloneElement(cell, {
      role: cell.type === 'th' ? 'rowheader' : 'cell',
      ...(is !== 'unseen' && { 'data-column': name }),
    })
  })
  return cloneElement(row, { role: 'row' }, cells)
}

/** A text cut after four lines. The tooltip and the page behind the row show all of it. */
export function Clamped({ text }: { text: string }) {
  return (
    <div class="clamped" title={text}>
      {text}
    </div>
  )
}
