/** Parses media types in headers and attributes (RFC 9110, sections 5.6.6 and 8.3.1). */

export interface MediaType {
  /** Type and subtype in lower case. */
  type: string
  /** Whether its text is UTF-8, which is the default. */
  isUtf8: boolean
}

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const TYPE = new RegExp(`${TOKEN}/${TOKEN}`, 'y')
/**
 * A parameter; it may be missing between two semicolons. Each character determines how to continue, so there is no
 * backtracking.
 */
const PARAMETER = new RegExp(
  `[\\t ]*;[\\t ]*(?:(?<name>${TOKEN})=(?:(?<token>${TOKEN})|"(?<quoted>(?:[^"\\\\]|\\\\.)*)"))?`,
  'y',
)

/** Parses a media type; returns undefined if the text is not one. */
export function readMediaType(text: string): MediaType | undefined {
  TYPE.lastIndex = 0
  const type = TYPE.exec(text)?.[0].toLowerCase()
  if (type === undefined) return undefined
  let isUtf8 = true
  for (let at = TYPE.lastIndex; at < text.length; at = PARAMETER.lastIndex) {
    PARAMETER.lastIndex = at
    const parameter = PARAMETER.exec(text)?.groups
    if (!parameter) return undefined
    const { name, token, quoted } = parameter
    if (name?.toLowerCase() !== 'charset') continue
    isUtf8 &&= (token ?? quoted!.replaceAll(/\\(.)/g, '$1')).toLowerCase() === 'utf-8'
  }
  return { type, isUtf8 }
}
