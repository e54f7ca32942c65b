/** Determines from the words of a SQL text what its statements do to their session and transaction. */

/** A statement's words outside quotes and comments, in upper case. */
type Words = string[]

/**
 * Returns why a handler may not run this text, or undefined if it may. Refused are statements that end or change the
 * transaction, which is not the handler's, and statements with effects on the connection that outlive it.
 */
export function refusalOf(text: string): string | undefined {
  for (const words of statementsIn(text)) {
    const refusal = endsTransaction(words) ?? outlivesTransaction(words)
    if (refusal) return refusal
  }
  return undefined
}

/** Whether a text may change settings until the transaction ends: `SET LOCAL`, or `set_config`. */
export function changesSettings(text: string): boolean {
  // Most texts contain neither word and need no further check.
  if (!/set/i.test(text)) return false
  return statementsIn(text).some((words) => words[0] === 'SET' || words.includes('SET_CONFIG'))
}

const NOT_YOURS = 'the transaction is the one that settles the event; throw an error to undo it'

function endsTransaction(words: Words): string | undefined {
  const [first, second, third] = words
  const refuse = (statement: string) => `${statement} is not for handlers: ${NOT_YOURS}`
  switch (first) {
    case 'BEGIN':
    case 'START':
    case 'COMMIT':
    case 'END':
    case 'ABORT':
      return refuse(first)
    case 'ROLLBACK': {
      const toSavepoint = second === 'TO' || (['WORK', 'TRANSACTION'].includes(second ?? '') && third === 'TO')
      return toSavepoint ? undefined : refuse(first)
    }
    case 'PREPARE':
      return second === 'TRANSACTION' ? refuse('PREPARE TRANSACTION') : undefined
    case 'SET':
      return second === 'TRANSACTION' || (second === 'LOCAL' && third?.startsWith('TRANSACTION'))
        ? refuse('SET TRANSACTION')
        : undefined
  }
  return undefined
}

function outlivesTransaction(words: Words): string | undefined {
  const [first, second] = words
  const refuse = (statement: string, instead: string) =>
    `${statement} is not for handlers, since it outlives their transaction: ${instead}`
  const has = (...sequence: string[]) =>
    words.some((_, at) => sequence.every((word, offset) => words[at + offset] === word))
  switch (first) {
    case 'SET':
      return second === 'LOCAL' || second === 'CONSTRAINTS' ? undefined : refuse('SET', 'use SET LOCAL')
    case 'RESET':
    case 'DISCARD':
    case 'LISTEN':
    case 'UNLISTEN':
    case 'PREPARE':
    case 'DEALLOCATE':
    case 'LOAD':
      return refuse(first, 'the connection is used by others next')
    case 'CREATE': {
      const temporary = words.slice(1, 4).some((word) => word === 'TEMP' || word === 'TEMPORARY')
      if (temporary && !has('ON', 'COMMIT', 'DROP')) return refuse('CREATE TEMPORARY', 'add ON COMMIT DROP')
      break
    }
    case 'DECLARE':
      if (has('WITH', 'HOLD')) return refuse('DECLARE … WITH HOLD', 'leave out WITH HOLD')
  }
  if (has('INTO', 'TEMP') || has('INTO', 'TEMPORARY'))
    return refuse('INTO TEMPORARY', 'use CREATE TEMPORARY TABLE … ON COMMIT DROP AS')
  if (words.some((word) => /^PG_(TRY_)?ADVISORY_LOCK/.test(word)))
    return refuse('an advisory lock of the session', 'use pg_advisory_xact_lock')
  return undefined
}

// The tokens, in the order in which they are tried; see "Lexical Structure" in Postgres' manual.
const TOKEN = new RegExp(
  [
    String.raw`(?<space>\s+|--[^\n\r]*)`,
    String.raw`(?<comment>/\*)`,
    String.raw`(?<quoted>[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$))`,
    String.raw`(?<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)`,
    String.raw`(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
    String.raw`(?<other>[\s\S])`,
  ].join('|'),
  'y',
)

/**
 * Yields the tokens of a text except comments and spaces, each with its end; for quoted text only the quotation mark.
 */
function* tokensIn(text: string): Generator<{ word?: string | undefined; other?: string | undefined; end: number }> {
  for (let at = 0; at < text.length; ) {
    TOKEN.lastIndex = at
    const { comment, quoted, dollar, word, other } = TOKEN.exec(text)!.groups!
    at = TOKEN.lastIndex
    if (comment) at = endOfComment(text, at)
    else if (dollar) {
      const end = text.indexOf(dollar, at)
      at = end < 0 ? text.length : end + dollar.length
    }
    const mark = other ?? (quoted || dollar)?.[0]
    if (word || mark) yield { word, other: mark, end: at }
  }
}

/**
 * Splits a text into statements. A semicolon in brackets, or in a function body after BEGIN ATOMIC, does not end one.
 */
function statementsIn(text: string): Words[] {
  const statements: Words[] = [[]]
  let brackets = 0
  for (const { word, other } of tokensIn(text)) {
    const words = statements.at(-1)!
    if (word) {
      if (word.toUpperCase() === 'ATOMIC' && words.at(-1) === 'BEGIN' && words[0] === 'CREATE') break
      words.push(word.toUpperCase())
    } else if (other === '(') brackets++
    else if (other === ')') brackets--
    else if (other === ';' && brackets <= 0) {
      statements.push([])
      brackets = 0
    }
  }
  return statements
}

/** Returns where the first statement of a text ends, after its semicolon; undefined if it is incomplete. */
export function endOfStatement(text: string): number | undefined {
  let [brackets, blocks, before] = [0, 0, '']
  for (const { word, other, end } of tokensIn(text)) {
    const name = word?.toUpperCase() ?? ''
    if (other === '(') brackets++
    else if (other === ')') brackets--
    else if (other === ';' && brackets <= 0 && blocks === 0) return end
    else if ((name === 'ATOMIC' && before === 'BEGIN') || (name === 'CASE' && blocks > 0)) blocks++
    else if (name === 'END' && blocks > 0) blocks--
    before = name
  }
  return undefined
}

/** Whether a text contains only spaces, comments and semicolons. */
export function isBlankSql(text: string): boolean {
  for (const { other } of tokensIn(text)) if (other !== ';') return false
  return true
}

/** These comments may be nested. */
function endOfComment(text: string, start: number): number {
  const mark = /\/\*|\*\//g
  mark.lastIndex = start
  for (let depth = 1; depth > 0; ) {
    const found = mark.exec(text)
    if (!found) return text.length
    depth += found[0] === '/*' ? 1 : -1
  }
  return mark.lastIndex
}
