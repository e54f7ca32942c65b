/** Generates docs/api.md from the OpenAPI document of the service. */

// biome-ignore lint/suspicious/noExplicitAny: the library's types are for OpenAPI 3.0, with other schemas.
type OpenApi = any

const INTRODUCTION = `# API reference

This page lists every route. It is generated from the service's OpenAPI document: a running EventFlow serves the
document at \`/openapi.json\`, and \`/docs\` lets you try the routes in a browser, with examples. To update the page, run
\`npm run api-docs\`; a test fails while it is out of date. [HTTP](http.md) describes the
forms of an event, what is refused, and safe resending. [API keys](security.md#api-keys) describes which key may do
what. Besides the errors listed with it, each route under \`/v1\` may answer with those of the last section.
`

/** Statuses that most routes share. */
const COMMON = ['400', '401', '403', '408', '413', '415', '417', '431', '500', '503']

/** The page, in Markdown. */
export function apiReference({ tags, paths }: OpenApi): string {
  const routes = Object.entries<OpenApi>(paths).flatMap(([path, methods]) =>
    Object.entries<OpenApi>(methods).map(([method, route]) => ({ title: `${method.toUpperCase()} ${path}`, ...route })),
  )
  const chapters = tags.map(({ name, description }: OpenApi) => {
    const own = routes.filter((route) => route.tags.includes(name))
    return [`## ${capitalised(name)}\n\n${description}.\n`, ...own.map(sectionOf)].join('\n')
  })
  return [INTRODUCTION, ...chapters, errorsOfAll(routes)].join('\n')
}

function sectionOf({ title, summary, description, parameters = [], requestBody, responses }: OpenApi): string {
  const bodies = Object.entries<OpenApi>(requestBody?.content ?? {})
  const answers = Object.entries<OpenApi>(responses).filter(([status]) => status < '300')
  const errors = Object.entries<OpenApi>(responses).filter(([status]) => status >= '300' && !COMMON.includes(status))
  const fields = [
    ...parameters.map(({ name, in: place, required, description, schema }: OpenApi) =>
      row(name, place, { ...schema, description: description ?? schema.description }, required),
    ),
    ...fieldsOf(bodies[0]?.[1].schema ?? {}).map(([name, schema, required]) => row(name, 'body', schema, required)),
  ]
  return [
    `### \`${title}\`\n`,
    `${[`**${summary}.**`, description].filter(Boolean).join(' ')}\n`,
    bodies.length > 1 ? `Takes ${bodies.map(([type]) => `\`${type}\``).join(', ')}.\n` : '',
    fields.length > 0 ? `| | in | | |\n|---|---|---|---|\n${fields.join('\n')}\n` : '',
    answers.map(answerOf).join('\n'),
    errors.map(([status, { description }]) => `- **${status}** ${description}`).join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n')
    .concat('\n')
}

/** The successful answer: its top-level fields. */
function answerOf([status, { content }]: [string, OpenApi]): string {
  const [type, { schema = {} } = {} as OpenApi] = Object.entries<OpenApi>(content ?? {})[0] ?? ['nothing']
  const names = Object.keys(schema.properties ?? {}).map((name) => `\`${name}\``)
  return `- **${status}** ${names.length > 0 ? names.join(', ') : type === 'application/json' ? typeOf(schema) : type}`
}

type Field = [name: string, schema: OpenApi, required: boolean]

/** The fields of an object and of the objects in it, by their paths. */
function fieldsOf({ properties = {}, required = [] }: OpenApi): Field[] {
  return Object.entries<OpenApi>(properties).flatMap(([name, schema]) => [
    [name, schema, required.includes(name)],
    ...fieldsOf(schema).map(([inner, ...rest]): Field => [`${name}.${inner}`, ...rest]),
  ])
}

const row = (name: string, place: string, schema: OpenApi, required: boolean) =>
  `| \`${name}\` | ${place} | ${typeOf(schema)}${required ? ', required' : ''} | ${inCell(schema.description ?? '')} |`

function typeOf({ anyOf, enum: values, const: value, items, format, type }: OpenApi): string {
  if (anyOf) return anyOf.map(typeOf).join(' or ')
  if (values ?? value) return (values ?? [value]).map((one: unknown) => `\`${one}\``).join(' or ')
  if (items) return `list of ${typeOf(items)}`
  return format ?? type ?? 'anything'
}

const inCell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

const capitalised = (text: string) => text[0]!.toUpperCase() + text.slice(1)

/** The errors that most routes share, each at its first occurrence. */
function errorsOfAll(routes: readonly OpenApi[]): string {
  const described = COMMON.map((status) => {
    const told = routes.flatMap(({ responses }) => responses[status]?.description.split(/; (?=`)/) ?? [])
    const codes = told.filter((code) => code.startsWith('`'))
    return `- **${status}** ${[...new Set(codes)].join('; ')}`
  })
  return `## Errors of every route\n\n${described.join('\n')}\n`
}
