/**
 * The standard settings of OpenTelemetry that decide whether and where to send traces, and those in which a typing
 * error would go unnoticed.
 */
import { type Static, Type } from '@sinclair/typebox'

const Endpoint = (description: string) => Type.String({ pattern: '^https?://', default: '', description })

const oneOf = (values: readonly string[], description: string, value = values[0]!) =>
  Type.Union(
    values.map((name) => Type.Literal(name)),
    { default: value, description: `${description}: ${values.join(', ')}` },
  )

const PROTOCOLS = ['http/protobuf', 'http/json']

/** All other variables (headers, limits, queue, resource) are read by the SDK alone. */
export const tracingSettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: Endpoint('OTLP over HTTP, as http://host:4318; without it there are no traces'),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: Endpoint(
    'The same only for traces, with the path, as http://host:4318/v1/traces',
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: oneOf(PROTOCOLS, 'How spans are sent'),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: oneOf([...PROTOCOLS, ''], 'The same only for traces', ''),
  OTEL_TRACES_EXPORTER: oneOf(['otlp', 'none'], 'Where spans go'),
  OTEL_SDK_DISABLED: oneOf(['false', 'true'], 'Whether traces are always off'),
  OTEL_TRACES_SAMPLER: oneOf(
    [
      'parentbased_always_on',
      'parentbased_traceidratio',
      'parentbased_always_off',
      'always_on',
      'traceidratio',
      'always_off',
    ],
    'Which traces are kept',
  ),
  OTEL_TRACES_SAMPLER_ARG: Type.String({
    pattern: '^(0|1|0?\\.\\d+|[01]\\.0+)$',
    default: '1',
    description: 'The share of traces to keep, from 0 to 1, such as 0.01',
  }),
}

/** The settings that `startTracing` needs. */
export type TracingSettings = { [Name in keyof typeof tracingSettings]: Static<(typeof tracingSettings)[Name]> }
