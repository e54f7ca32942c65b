/** Texts of others, so shown that they cannot be taken for something else. */
import { Fragment, h, options, type VNode } from 'preact'

/** What has no shape of its own: controls, bidi controls, joiners, fillers, tags, line separators and halves of characters. */
const UNSEEN = /[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Joiners and selectors make one picture of several. */
const IN_PICTURES = /(\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f)(\u200d|\ufe0f)$/u

/** Hebrew, Arabic and the other scripts that are read from right to left. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u

/** The text with what cannot be seen in it written out: U+202E, or as `write` writes it. Lines and tabs stay, and pictures. */
export function unmask(text: string, write = (code: number) => `⟨U+${hex(code)}⟩`): string {
  return text.replace(UNSEEN, (char, at: number) => {
    if (char === '\n' || char === '\t') return char
    const joins = IN_PICTURES.test(text.slice(Math.max(0, at - 2), at + 1))
    return joins ? char : write(char.codePointAt(0)!)
  })
}

const hex = (code: number) => code.toString(16).toUpperCase().padStart(4, '0')

/**
 * Has every text of every page unmasked, and those that are read from right to left kept to themselves, so that they do not
 * turn round what stands beside them. Pages need not know which of their texts come from elsewhere.
 */
export function unmaskPages(): void {
  const before = options.vnode
  options.vnode = (node) => {
    if (typeof node.type === 'string' || node.type === Fragment) unmaskNode(node)
    before?.(node)
  }
}

function unmaskNode({ type, props }: VNode): void {
  const own = props as Record<string, unknown>
  for (const name of ['title', 'aria-label', 'placeholder']) {
    if (typeof own[name] === 'string') own[name] = unmask(own[name])
  }
  // The only one that can hold no element.
  const isolates = type !== 'option' && type !== 'bdi'
  if (own.children !== undefined) own.children = unmaskChildren(own.children, isolates)
}

function unmaskChildren(children: unknown, isolates: boolean): unknown {
  if (Array.isArray(children)) return children.map((child) => unmaskChildren(child, isolates))
  if (typeof children !== 'string') return children
  const text = unmask(children)
  return isolates && RIGHT_TO_LEFT.test(text) ? h('bdi', {}, text) : text
}
