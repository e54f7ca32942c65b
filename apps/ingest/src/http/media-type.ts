/** Media types as headers and attributes write them (RFC 9110, sections 5.6.6 and 8.3.1). */

export interface MediaType {
  /** Type and subtype in lower case. */
  type: string
  /** Whether its text is in UTF-8, which is so where it says nothing. */
  isUtf8: boolean
}

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const TYPE = new RegExp(`${TOKEN}/${TOKEN}`, 'y')
/** One parameter; there may be none between two semicolons. Each character says how it goes on: nothing is tried twice. */
const PARAMETER = new RegExp(
  `[\\t ]*;[\\t ]*(?:(?<name>${TOKEN})=(?:(?<token>${TOKEN})|"(?<quoted>(?:[^"\\\\]|\\\\.)*)"))?`,
  'y',
)

/** What a text says as a media type; nothing where it is none. */
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
