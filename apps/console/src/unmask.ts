/** Shows texts of others in such a way that they cannot be mistaken for something else. */
import { Fragment, h, options, type VNode } from 'preact'

/** Invisible characters: controls, bidi controls, joiners, fillers, tags, line separators and lone surrogates. */
const UNSEEN = /[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Joiners and selectors that combine several characters into one picture. */
const IN_PICTURES = /(\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f)(\u200d|\ufe0f)$/u

/** Hebrew, Arabic and the other scripts that are written from right to left. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u

/**
 * Returns the text with its invisible characters written out: as U+202E, or as `write` writes them. Line breaks, tabs
 * and pictures are kept.
 */
export function unmask(text: string, write = (code: number) => `⟨U+${hex(code)}⟩`): string {
  return text.replace(UNSEEN, (char, at: number) => {
    if (char === '\n' || char === '\t') return char
    const joins = IN_PICTURES.test(text.slice(Math.max(0, at - 2), at + 1))
    return joins ? char : write(char.codePointAt(0)!)
  })
}

const hex = (code: number) => code.toString(16).toUpperCase().padStart(4, '0')

/**
 * Unmasks every text of every page, and isolates texts written from right to left, so that they do not reverse the text
 * beside them. Pages need not know which of their texts come from others.
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
  // An option cannot contain elements, and a bdi is isolated already.
  const isolates = type !== 'option' && type !== 'bdi'
  if (own.children !== undefined) own.children = unmaskChildren(own.children, isolates)
}

function unmaskChildren(children: unknown, isolates: boolean): unknown {
  if (Array.isArray(children)) return children.map((child) => unmaskChildren(child, isolates))
  if (typeof children !== 'string') return children
  const text = unmask(children)
  return isolates && RIGHT_TO_LEFT.test(text) ? h('bdi', {}, text) : text
}
