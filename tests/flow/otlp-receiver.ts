/** A collector of traces that understands OTLP over HTTP with JSON. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from '@eventflow/testkit'

/** A span as in OTLP, with its attributes as an object. */
export interface ReceivedSpan {
  service: string
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: Record<string, unknown>
  events: { name: string; attributes: Record<string, unknown> }[]
  links: { traceId: string; spanId: string }[]
  status: { code?: number; message?: string }
}

type Attribute = { key: string; value: Record<string, unknown> }

interface Request {
  resourceSpans: {
    resource: { attributes: Attribute[] }
    scopeSpans: {
      spans: (Omit<ReceivedSpan, 'attributes' | 'events' | 'service'> & {
        attributes: Attribute[]
        events: { name: string; attributes: Attribute[] }[]
      })[]
    }[]
  }[]
}

export interface OtlpReceiver {
  url: string
  /** Everything that arrived. */
  spans: ReceivedSpan[]
  /** Waits for this many spans of a trace, and returns them in the order of their beginnings. */
  trace(traceId: string, count: number): Promise<ReceivedSpan[]>
  /** From now on requests are received and never answered. */
  hang(): void
  close(): Promise<void>
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  let hanging = false
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (hanging) return
    spans.push(...spansOf(JSON.parse(Buffer.concat(chunks).toString())))
    response.setHeader('content-type', 'application/json').end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const ofTrace = (traceId: string) => spans.filter((span) => span.traceId === traceId)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    async trace(traceId, count) {
      await until(`${count} spans of the trace have come`, async () => ofTrace(traceId).length >= count)
      return ofTrace(traceId).sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
    },
    hang() {
      hanging = true
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function spansOf({ resourceSpans }: Request): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        ...span,
        service: String(objectOf(resource.attributes)['service.name']),
        attributes: objectOf(span.attributes),
        events: (span.events ?? []).map(({ name, attributes }) => ({ name, attributes: objectOf(attributes) })),
        links: span.links ?? [],
      })),
    ),
  )
}

const objectOf = (attributes: readonly Attribute[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
