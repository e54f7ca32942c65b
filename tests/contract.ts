/**
 * Checks answers against /openapi.json: status, content type, headers and body must be documented for the route and
 * method.
 */
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

/** A parsed answer. */
export interface Answer {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: the caller inspects it.
  body: any
}

interface Header {
  required?: boolean
}

interface Documented {
  headers?: Record<string, Header>
  content?: Record<string, object>
}

/** The parts of an OpenAPI document that are used here. */
export interface Document {
  paths: Record<string, Record<string, { responses: Record<string, Documented>; requestBody?: object }>>
}

export interface Contract {
  document: Document
  /** Sends a request; throws if the answer is not documented. */
  ask(path: string, init?: RequestInit): Promise<Answer>
  /** Parses everything received on a connection as the one answer of a route; throws if that is not documented. */
  read(method: string, path: string, text: string): Answer
}

/** Reads the document of a service that answers without an API key. */
export async function readContract(url: string): Promise<Contract> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as Document
  const check = createCheck(document)
  return {
    document,
    async ask(path, init = {}) {
      const response = await fetch(url + path, init)
      const answer = answerOf(response.status, response.headers, await response.text())
      check(init.method ?? 'GET', path, answer)
      return answer
    },
    read(method, path, text) {
      const answer = parseAnswer(text)
      check(method, path, answer)
      return answer
    },
  }
}

function answerOf(status: number, headers: Headers, text: string): Answer {
  const isJson = /^application\/(problem\+)?json\b/.test(`${headers.get('content-type')}`)
  return { status, headers, text, body: isJson ? JSON.parse(text) : text }
}

/** Throws if the text is not exactly one complete answer. */
function parseAnswer(text: string): Answer {
  const [, status, fields, body] = /^HTTP\/1\.1 (\d{3}) [^\r\n]+\r\n(.*?)\r\n\r\n(.*)$/s.exec(text) ?? []
  if (body === undefined) throw new Error(`no answer: ${text.slice(0, 1_000)}`)
  const headers = new Headers(fields!.split('\r\n').map((field) => field.split(/: (.*)/s, 2) as [string, string]))
  const length = Number(headers.get('content-length'))
  if (Buffer.byteLength(body) !== length) throw new Error(`not ${length} bytes: ${body.slice(0, 1_000)}`)
  return answerOf(Number(status), headers, body)
}

/** Returns a function that throws, with all details, if an answer is not documented. */
export function createCheck(document: Document): (method: string, path: string, answer: Answer) => void {
  const ajv = new Ajv2020({ strict: false, validateSchema: false })
  addFormats.default(ajv)
  ajv.addSchema(document, 'document')
  const routes = Object.keys(document.paths)
    // A literal name takes precedence over a parameter.
    .sort((a, b) => a.split('{').length - b.split('{').length)
    .map((path) => ({ path, form: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/?]*')}$`) }))

  return (method, path, answer) => {
    const refuse = (what: string) => {
      throw new Error(`${method} ${path}: ${what}, in ${answer.status} ${answer.text.slice(0, 1_000)}`)
    }
    const route = routes.find(({ form }) => form.test(path.split('?')[0]!))?.path
    const operation = route && document.paths[route]![method.toLowerCase()]
    if (!operation) {
      if (answer.body.code !== (route ? 'method-not-allowed' : 'route-not-found')) refuse('no such route is documented')
      return
    }
    const response = operation.responses[answer.status]
    if (!response) return refuse('the status is not documented')
    for (const [name, { required }] of Object.entries(response.headers ?? {})) {
      if (required && !answer.headers.has(name)) refuse(`the header ${name} is missing`)
    }
    const type = answer.headers.get('content-type')?.split(';')[0] ?? 'none'
    if (!response.content?.[type]) return refuse(`the content type ${type} is not documented`)
    const names = ['paths', route, method.toLowerCase(), 'responses', `${answer.status}`, 'content', type, 'schema']
    const pointer = names.map((name) => encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
    if (!ajv.validate(`document#/${pointer}`, answer.body)) refuse(ajv.errorsText())
  }
}
