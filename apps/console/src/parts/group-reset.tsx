/** Resetting a consumer group to another place of the log, after a dry run. */
import type { GroupReset, GroupTarget, ResetDryRun, WholeGroup } from '@eventflow/client'
import { useState } from 'preact/hooks'
import { type ApiError, post } from '../api.js'
import { readForm } from '../form.js'
import { count, fromLocalTime, time } from '../format.js'
import { Who } from './asking.js'
import { Problem } from './basics.js'
import { Dialog } from './dialog.js'

interface ResetProps {
  group: WholeGroup
  done: () => void
}

export function ResetButton({ group, done }: ResetProps) {
  const [asking, setAsking] = useState(false)
  return (
    <>
      <button type="button" class="danger" onClick={() => setAsking(true)}>
        Reset…
      </button>
      {asking && <Ask group={group} done={done} close={() => setAsking(false)} />}
    </>
  )
}

const PLACES = [
  ['earliest', 'the beginning of the log'],
  ['latest', 'the end of the log'],
  ['time', 'a time'],
  ['position', 'a position'],
] as const

/** A place of the log in words. */
export function describePlace(place: GroupTarget): string {
  if (place === 'earliest') return 'the beginning of the log'
  if (place === 'latest') return 'the end of the log'
  return 'time' in place ? time(place.time) : `position ${place.position}`
}

/** Shows what the reset would do before it can be confirmed. */
function Ask({ group, close, done }: ResetProps & { close: () => void }) {
  const { name, kind } = group
  const [kindOfPlace, choose] = useState<(typeof PLACES)[number][0]>('earliest')
  const [dryRun, setDryRun] = useState<ResetDryRun>()
  const [underWay, setUnderWay] = useState(false)
  const [error, setError] = useState<ApiError>()
  const path = `v1/groups/${encodeURIComponent(name)}/reset`
  // Only the operator's tenant sees positions, and may name one.
  const places = PLACES.filter(([place]) => place !== 'position' || group.partitions[0]?.position !== undefined)

  const edited = () => {
    setDryRun(undefined)
    setError(undefined)
  }
  const submit = async (event: SubmitEvent) => {
    const { text } = readForm(event)
    const to =
      kindOfPlace === 'time'
        ? { time: fromLocalTime(text('time')) }
        : kindOfPlace === 'position'
          ? { position: Number(text('position')) }
          : kindOfPlace
    const asked = { to, ...(text('emit') && { emit: 'new' }) }
    setError(undefined)
    setUnderWay(true)
    const answered = dryRun
      ? post<GroupReset>(path, asked).then(() => {
          close()
          done()
        })
      : post<ResetDryRun>(path, { ...asked, dry_run: true }).then(setDryRun)
    await answered.catch(setError)
    setUnderWay(false)
  }
  return (
    <Dialog title={`Reset ${name}`} close={close}>
      <Problem error={error} />
      <form onSubmit={submit} onInput={(event) => (event.target as HTMLInputElement).name !== 'operator' && edited()}>
        <p>
          The group goes on from another place of the log.{' '}
          {kind !== 'external' &&
            'A worker moves it there, in one transaction with what the function reset of its definition undoes. '}
          Parked events and dead letters above that place are forgotten, since the group reads them again.
        </p>
        <label>
          To
          <select value={kindOfPlace} onChange={(event) => choose(event.currentTarget.value as typeof kindOfPlace)}>
            {places.map(([place, words]) => (
              <option value={place} key={place}>
                {words}
              </option>
            ))}
          </select>
        </label>
        {kindOfPlace === 'time' && (
          <label>
            Settled then or later
            <input name="time" type="datetime-local" step="1" required />
          </label>
        )}
        {kindOfPlace === 'position' && (
          <label>
            Position: the group reads what lies above
            <input name="position" type="number" min="0" required />
          </label>
        )}
        {kind !== 'external' && (
          <label class="check">
            <input type="checkbox" name="emit" />
            <span>Emit events again as new ones. By default those that exist are not repeated</span>
          </label>
        )}
        <Who />
        <div aria-live="polite">{dryRun && <Extent of={dryRun} />}</div>
        <div class="buttons">
          <button type="submit" class={dryRun ? 'danger' : 'main'} disabled={underWay}>
            {dryRun ? (underWay ? 'Resetting…' : 'Reset group') : 'Show what it would do'}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function Extent({ of: { again, skipped, more } }: { of: ResetDryRun }) {
  const events = (value: number) => `${count(value)}${more ? ' or more' : ''} ${value === 1 ? 'event' : 'events'}`
  return (
    <p>
      {again === 0 && skipped === 0 && !more ? (
        'The group is there already: no event would be handled again or skipped.'
      ) : (
        <>
          <strong>{events(again)}</strong> would be handled again, and <strong>{events(skipped)}</strong> skipped.
        </>
      )}
    </p>
  )
}
