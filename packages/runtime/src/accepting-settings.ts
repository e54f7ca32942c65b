/** The settings of processes that accept events: ingest, and workers whose consumer groups emit some. */
import { Type } from '@sinclair/typebox'

export const acceptingSettings = {
  EVENTFLOW_MAX_STREAM_LENGTH: Type.Integer({
    minimum: 1,
    default: 5_000,
    description:
      'Limit of entries in the stream of a partition, each of up to 50 events; further events wait in Postgres',
  }),
  EVENTFLOW_EVENT_LIMIT_BYTES: Type.Integer({
    minimum: 256,
    default: 262_144,
    description: 'Largest data of one event, in bytes of JSON text',
  }),
}
