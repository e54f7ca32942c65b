/** Operations with their progress, and the audit log. */
import type { DeadLetterFilter, Operation, Page } from '@eventflow/client'
import { useEffect, useState } from 'preact/hooks'
import type { AuditEntry } from '../answers.js'
import { type ApiError, post } from '../api.js'
import { count } from '../format.js'
import { useGet } from '../use-get.js'
import { OperationBar } from './actions.js'
import { Problem, Time } from './basics.js'
import { number, Table } from './table.js'

/** How often operations are read, in milliseconds. */
const LOOK_MS = 5_000

export function Operations({ changes }: { changes: number }) {
  const { answer, again } = useGet<{ items: Operation[] }>('v1/operations', LOOK_MS)
  useEffect(again, [changes])
  const items = answer?.items ?? []
  if (items.length === 0) return null
  return (
    <section>
      <h2>Operations</h2>
      <ul class="operations">
        {items.slice(0, 8).map((operation) => (
          <li key={operation.id}>
            <span>
              {operation.kind.replaceAll('-', ' ')}, requested by {operation.requested_by}{' '}
              <Time at={operation.started_at} />
              <small>
                {describeFilter(operation.filter)}
                {operation.schema_version && `, as version ${operation.schema_version}`}
              </small>
            </span>
            <div class="progress">
              <OperationBar operation={operation} />
              <Change operation={operation} again={again} />
            </div>
          </li>
        ))}
      </ul>
    </section>
  )
}

/** Cancels a running operation, resumes an interrupted one. */
function Change({ operation: { id, status }, again }: { operation: Operation; again: () => void }) {
  const [error, setError] = useState<ApiError>()
  const change = (action: string) => post(`v1/operations/${id}/${action}`, {}).then(again, setError)
  return (
    <>
      {status === 'interrupted' && (
        <button type="button" onClick={() => change('resume')}>
          Resume
        </button>
      )}
      {(status === 'interrupted' || status === 'running') && (
        <button type="button" class="quiet" onClick={() => change('cancel')}>
          Cancel
        </button>
      )}
      <Problem error={error} />
    </>
  )
}

export function AuditTrail({ changes }: { changes: number }) {
  const { answer, again } = useGet<Page<AuditEntry>>('v1/audit-log?limit=20')
  useEffect(again, [changes])
  const items = answer?.items ?? []
  if (items.length === 0) return null
  return (
    <section>
      <h2>Audit log</h2>
      <Table label="Audit log" columns={['Time', 'Who', 'Action', number('Events'), 'Reason']}>
        {items.map(({ at, actor, action, count: events, reason, filter, subject }) => (
          <tr key={at + action}>
            <td>
              <Time at={at} />
            </td>
            <td class="cut" title={actor}>
              {actor}
            </td>
            <td class="wide">
              {action.replaceAll('-', ' ')}{' '}
              <small>{[subject, events > 0 && describeFilter(filter)].filter(Boolean).join(', ')}</small>
            </td>
            <td class="number">{events > 0 ? count(events) : '–'}</td>
            <td class="wide">{reason ?? '–'}</td>
          </tr>
        ))}
      </Table>
    </section>
  )
}

function describeFilter(filter: DeadLetterFilter): string {
  const parts = Object.entries(filter).map(([name, value]) =>
    Array.isArray(value) ? `${value.length} selected by id` : `${name.replace('_', ' ')} ${value}`,
  )
  return parts.length > 0 ? parts.join(', ') : 'all'
}
