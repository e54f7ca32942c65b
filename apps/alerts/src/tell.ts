/** Notifies the receiver of raised and cleared alerts. */
import { type AlertReading, claimUnsent, type Db, type Incident, markSent } from '@eventflow/db'
import type { Logger } from '@eventflow/runtime'
import { type Message, SEND_MS, type Send } from './webhook.js'

/** Sends every unsent notification, in order. Those that fail are tried again later. */
export async function tellUnsent(
  { db, send, log }: { db: Db; send: Send; log: Logger },
  stopping: AbortSignal,
): Promise<void> {
  while (!stopping.aborted) {
    // Time for the two messages of an incident.
    const unsent = await claimUnsent(db, 2 * SEND_MS)
    if (!unsent) return
    try {
      if (unsent.raisedUnsent) {
        await send(raisedMessage(unsent), stopping)
        await markSent(db, unsent.id, 'raised')
      }
      if (unsent.cleared) {
        await send(clearedMessage(unsent, unsent.cleared), stopping)
        await markSent(db, unsent.id, 'cleared')
      }
    } catch (err) {
      log.error({ err, alert: unsent.alert, incident: unsent.id }, 'an alert could not be sent; trying again later')
    }
  }
}

export function raisedMessage(incident: Incident): Message {
  const { id, raisedAt, raisedWith } = incident
  return messageOf('raised', `${id}-raised`, incident, raisedAt, raisedWith)
}

function clearedMessage(incident: Incident, cleared: { at: Date; with: AlertReading }): Message {
  return messageOf('cleared', `${incident.id}-cleared`, incident, cleared.at, cleared.with)
}

function messageOf(edge: 'raised' | 'cleared', id: string, incident: Incident, at: Date, seen: AlertReading): Message {
  return {
    id,
    body: {
      type: `alert.${edge}`,
      timestamp: at.toISOString(),
      data: { incident: incident.id, alert: incident.alert, raised_at: incident.raisedAt.toISOString(), ...seen },
    },
  }
}
