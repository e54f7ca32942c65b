/** Counts dead letters, asks, and then replays or discards them: those of the pipeline, or those of a group. */
import type { DeadLetterAction, DeadLetterFilter, DryRun, GroupDryRun } from '@eventflow/client'
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { type ApiError, post } from '../api.js'
import { type Form, readForm } from '../form.js'
import { count } from '../format.js'
import { href } from '../route.js'
import { Who } from './asking.js'
import { Problem } from './basics.js'
import { Dialog } from './dialog.js'
import { Clamped } from './table.js'

/** Only a dry run of a group's dead letters says more than the count. */
type Extent = DryRun & Partial<GroupDryRun>

/** What was asked for, and what can be done with the dialog. */
export interface Asked {
  form: Form
  order: { filter: DeadLetterFilter; reason?: string }
  extent: Extent
  /** Shows the progress instead of the form. */
  show: (progress: ComponentChildren) => void
  end: () => void
}

interface AskProps {
  action: DeadLetterAction
  /** Whose they are, for the title. */
  whose?: string
  /** Where they are counted and changed. */
  path: string
  filter: DeadLetterFilter
  /** What happens to them. */
  what: string
  /** Further fields, by the number of dead letters. */
  fields?: (total: number) => ComponentChildren
  /** Changes them. An error is shown, and the user can try again. */
  act: (asked: Asked) => Promise<void>
  done: () => void
}

/** A button that opens the dialog. */
export function DeadLettersButton({ label, ...asked }: AskProps & { label: string }) {
  const [asking, setAsking] = useState(false)
  return (
    <>
      <button type="button" class={asked.action === 'discard' ? 'danger' : ''} onClick={() => setAsking(true)}>
        {label}
      </button>
      {asking && <Ask {...asked} close={() => setAsking(false)} />}
    </>
  )
}

function Ask({ action, whose = '', path, filter, what, fields, act, done, close }: AskProps & { close: () => void }) {
  const [extent, setExtent] = useState<Extent>()
  const [progress, show] = useState<ComponentChildren>()
  const [error, setError] = useState<ApiError>()
  const sure = action === 'replay' ? 'Replay' : 'Discard'
  useEffect(() => {
    post<Extent>(path, { filter, dry_run: true }).then(setExtent, setError)
  }, [])

  const end = () => {
    close()
    done()
  }
  const submit = async (event: SubmitEvent) => {
    const form = readForm(event)
    const reason = form.text('reason')
    setError(undefined)
    const order = { filter, ...(reason && { reason }) }
    await act({ form, order, extent: extent!, show, end }).catch(setError)
  }
  const total = extent && `${count(extent.count)}${extent.more ? ' or more' : ''}`
  return (
    <Dialog title={`${sure} dead letters${whose}`} close={progress ? end : close}>
      <Problem error={error} />
      {progress ??
        (extent ? (
          <form onSubmit={submit}>
            <p aria-live="polite">
              <strong>{total}</strong> {extent.count === 1 ? 'dead letter matches' : 'dead letters match'}. {what}
            </p>
            {action === 'replay' && !!extent.removed && (
              <p class="warn">
                {count(extent.removed)} of them cannot be replayed: their events were removed from the log.
              </p>
            )}
            <Samples of={extent} />
            {fields?.(extent.count)}
            <label>
              Reason{action === 'replay' && ' (optional)'}
              <input name="reason" maxLength={500} required={action === 'discard'} autoComplete="off" />
            </label>
            <Who />
            <div class="buttons">
              <button type="submit" class={action === 'discard' ? 'danger' : 'main'} disabled={extent.count === 0}>
                {sure} {total}
              </button>
            </div>
          </form>
        ) : (
          !error && <p>Counting…</p>
        ))}
    </Dialog>
  )
}

/** A few of the matching dead letters. */
function Samples({ of: { samples, count: all } }: { of: DryRun }) {
  return (
    <ul class="samples">
      {samples.map(({ id, type, partitionkey, message }) => (
        <li key={id}>
          <a href={href(['events', id])}>{type}</a> {partitionkey !== id && partitionkey}
          {message && (
            <small>
              <Clamped text={message} />
            </small>
          )}
        </li>
      ))}
      {all > samples.length && <li>and {count(all - samples.length)} more</li>}
    </ul>
  )
}
