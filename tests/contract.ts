/** Answers held against /openapi.json: status, content type, headers and body must be as documented for the route and method. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

/** An answer, read. */
export interface Answer {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: whoever asked looks into it.
  body: any
}

interface Header {
  required?: boolean
}

interface Documented {
  headers?: Record<string, Header>
  content?: Record<string, object>
}

/** The parts of an OpenAPI document that are looked at. */
export interface Document {
  paths: Record<string, Record<string, { responses: Record<string, Documented>; requestBody?: object }>>
}

export interface Contract {
  document: Document
  /** Sends a request, and throws when the answer is not documented. */
  ask(path: string, init?: RequestInit): Promise<Answer>
}

/** Reads the document of a service that answers without a key. */
export async function readContract(url: string): Promise<Contract> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as Document
  const check = createCheck(document)
  return {
    document,
    async ask(path, init = {}) {
      const response = await fetch(url + path, init)
      const { status, headers } = response
      const text = await response.text()
      const isJson = /^application\/(problem\+)?json\b/.test(`${headers.get('content-type')}`)
      const answer = { status, headers, text, body: isJson ? JSON.parse(text) : text }
      check(init.method ?? 'GET', path, answer)
      return answer
    },
  }
}

/** Gives what throws, with all there is to know, when an answer is not documented. */
export function createCheck(document: Document): (method: string, path: string, answer: Answer) => void {
  const ajv = new Ajv2020({ strict: false, validateSchema: false })
  addFormats.default(ajv)
  ajv.addSchema(document, 'document')
  const routes = Object.keys(document.paths)
    // A name goes before what stands for any name.
    .sort((a, b) => Number(a.includes('{')) - Number(b.includes('{')))
    .map((path) => ({ path, form: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/?]*')}$`) }))

  return (method, path, answer) => {
    const refuse = (what: string) => {
      throw new Error(`${method} ${path}: ${what}, in ${answer.status} ${answer.text.slice(0, 1_000)}`)
    }
    const route = routes.find(({ form }) => form.test(path.split('?')[0]!))?.path
    const operation = route && document.paths[route]![method.toLowerCase()]
    if (!operation) {
      if (answer.body.code !== 'route-not-found') refuse('no such route is documented')
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
