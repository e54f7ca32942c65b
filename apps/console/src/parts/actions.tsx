/** What an operator can do to failed and blocked events: replay, discard, correct, skip. Each asks for name and reason. */
import { useEffect, useState } from 'preact/hooks'
import type { DryRun, Json, Operation, WholeEvent } from '../answers.js'
import { type ApiError, post } from '../api.js'
import { type Form, readForm } from '../form.js'
import { count } from '../format.js'
import { href } from '../route.js'
import { useGet } from '../use-get.js'
import { AskingButton, Who } from './asking.js'
import { Problem } from './basics.js'
import { Dialog } from './dialog.js'
import { Clamped } from './table.js'
import { VersionChoice } from './version-choice.js'

/** In the form of the service. */
export type Filter = Record<string, Json>

export interface ActionProps {
  filter: Filter
  done: () => void
  label?: string
}

/** `type`: the type of all matching events, if it is only one. A schema version can then be chosen. */
export function ReplayButton({ filter, done, type, label = 'Replay' }: ActionProps & { type?: string | undefined }) {
  return <OperationButton kind="replay" label={label} filter={filter} done={done} type={type} />
}

export function DiscardButton({ filter, done, label = 'Discard' }: ActionProps) {
  return <OperationButton kind="discard" label={label} filter={filter} done={done} />
}

const QUESTIONS = {
  replay: 'Replayed events are processed again, in the order in which they were accepted.',
  discard: 'Discarded events are never processed. They stay stored, with your reason.',
}

function OperationButton({ label, ...asked }: Omit<AskProps, 'close'> & { label: string }) {
  const [asking, setAsking] = useState(false)
  return (
    <>
      <button type="button" class={asked.kind === 'discard' ? 'danger' : ''} onClick={() => setAsking(true)}>
        {label}
      </button>
      {asking && <Ask {...asked} close={() => setAsking(false)} />}
    </>
  )
}

interface AskProps {
  kind: 'replay' | 'discard'
  filter: Filter
  type?: string | undefined
  close: () => void
  done: () => void
}

/** Counts with a dry run, asks, then shows the progress. */
function Ask({ kind, filter, type, close, done }: AskProps) {
  const [dryRun, setDryRun] = useState<DryRun>()
  const [operation, setOperation] = useState<Operation>()
  const [error, setError] = useState<ApiError>()
  const path = `v1/dead-letters/${kind}`
  useEffect(() => {
    post<DryRun>(path, { filter, dry_run: true }).then(setDryRun, setError)
  }, [])

  const submit = async (event: SubmitEvent) => {
    const { text } = readForm(event)
    const [reason, rate, version] = [text('reason'), Number(text('rate')), Number(text('schema_version'))]
    setError(undefined)
    const how = { ...(rate > 0 && { rate }), ...(version > 0 && { schema_version: version }) }
    await post<Operation>(path, { filter, ...how, ...(reason && { reason }) }).then(setOperation, setError)
  }

  const title = kind === 'replay' ? 'Replay dead letters' : 'Discard dead letters'
  const ended = () => {
    close()
    done()
  }
  return (
    <Dialog title={title} close={operation ? ended : close}>
      <Problem error={error} />
      {operation ? (
        <Progress started={operation} close={ended} />
      ) : dryRun ? (
        <form onSubmit={submit}>
          <p aria-live="polite">
            <strong>{count(dryRun.count)}</strong> {dryRun.count === 1 ? 'dead letter matches' : 'dead letters match'}.{' '}
            {QUESTIONS[kind]}
          </p>
          <Samples dryRun={dryRun} />
          {kind === 'replay' && type && <VersionChoice type={type} />}
          {kind === 'replay' && dryRun.count > 1 && (
            <label>
              Events per second, at most
              <input name="rate" type="number" min="1" max="10000" defaultValue="100" />
            </label>
          )}
          <label>
            Reason{kind === 'replay' && ' (optional)'}
            <input name="reason" maxLength={500} required={kind === 'discard'} autoComplete="off" />
          </label>
          <Who />
          <div class="buttons">
            <button type="submit" class={kind === 'discard' ? 'danger' : 'main'} disabled={dryRun.count === 0}>
              {kind === 'replay' ? 'Replay' : 'Discard'} {count(dryRun.count)}
            </button>
          </div>
        </form>
      ) : (
        !error && <p>Counting…</p>
      )}
    </Dialog>
  )
}

/** A few of the matching dead letters. */
export function Samples({ dryRun: { samples, count: all } }: { dryRun: DryRun }) {
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

const LOOK_MS = 500

function Progress({ started, close }: { started: Operation; close: () => void }) {
  const [ended, setEnded] = useState(false)
  const { answer = started } = useGet<Operation>(`v1/operations/${started.id}`, ended ? undefined : LOOK_MS)
  if (answer.status !== 'running' && !ended) setEnded(true)
  return (
    <div>
      <OperationBar operation={answer} />
      <div class="buttons">
        {answer.status === 'running' && (
          <button type="button" onClick={() => post(`v1/operations/${answer.id}/cancel`, {})}>
            Cancel the rest
          </button>
        )}
        <button type="button" class="main" onClick={close}>
          {answer.status === 'running' ? 'Continue in background' : 'Close'}
        </button>
      </div>
    </div>
  )
}

export function OperationBar({ operation: { status, done, total } }: { operation: Operation }) {
  return (
    <div class="operation">
      <progress
        max={Math.max(total, 1)}
        value={status === 'finished' ? Math.max(total, 1) : done}
        aria-label="Progress"
      />
      <span aria-live="polite">
        {status}: {count(done)} of {count(total)}
      </span>
    </div>
  )
}

/** Skips the event that blocks its key. */
export function SkipButton({ id, done, label = 'Skip' }: { id: string; done: () => void; label?: string }) {
  return (
    <AskingButton
      label={label}
      look="danger"
      title="Skip this event"
      sure="Skip event"
      act={({ text }) => post(`v1/waiting/${id}/skip`, { reason: text('reason') })}
      done={done}
    >
      <p>
        The event becomes a dead letter now, without further attempts, and the later events of its key are processed. It
        can be replayed later, but out of order.
      </p>
      <label>
        Reason
        <input name="reason" required maxLength={500} autoComplete="off" />
      </label>
      <Who />
    </AskingButton>
  )
}

/** Sends a corrected copy of a failed event and discards the original, which stays stored unchanged. */
export function SendAgainButton({ event, done }: { event: WholeEvent; done: () => void }) {
  const sendAgain = async ({ text }: Form) => {
    const { id } = await post<{ id: string }>('v1/events', {
      type: event.type,
      source: event.source,
      time: event.time,
      partitionkey: event.partitionkey === event.id ? undefined : event.partitionkey,
      correlationid: event.correlationid,
      causationid: event.id,
      data: JSON.parse(text('data')),
    })
    await post('v1/dead-letters/discard', { filter: { ids: [event.id] }, reason: `corrected as ${id}` })
    location.hash = href(['events', id])
  }
  return (
    <AskingButton label="Correct" title="Send a corrected event" sure="Send event" act={sendAgain} done={done}>
      <p>Sends a new event with this data, caused by the failed one. The failed event is discarded but stays stored.</p>
      <label>
        Data
        <textarea name="data" rows={14} spellcheck={false} defaultValue={JSON.stringify(event.data, null, 2)} />
      </label>
      <Who />
    </AskingButton>
  )
}
