/** Pausing and resuming consumer groups, and replaying or discarding what one has failed to handle. */
import { useEffect, useState } from 'preact/hooks'
import { type ApiError, post } from '../api.js'
import { readForm } from '../form.js'
import { count } from '../format.js'
import type { GroupDryRun, WholeGroup } from '../group-answers.js'
import { type ActionProps, Samples } from './actions.js'
import { AskingButton, Who } from './asking.js'
import { Problem } from './basics.js'
import { Dialog } from './dialog.js'

interface GroupProps {
  group: WholeGroup
  done: () => void
}

export function PauseButton({ group: { name, kind }, done }: GroupProps) {
  return (
    <AskingButton
      label="Pause…"
      title={`Pause ${name}`}
      sure="Pause group"
      act={({ text }) => post(`v1/groups/${encodeURIComponent(name)}/pause`, { reason: text('reason') })}
      done={done}
    >
      <p>
        {kind !== 'external'
          ? 'Its workers finish the batch that they are handling, and then handle no events until the group is resumed.'
          : 'The program that reads it is refused until the group is resumed.'}{' '}
        The pipeline and other groups go on.
      </p>
      <label>
        Reason
        <input name="reason" required maxLength={500} autoComplete="off" />
      </label>
      <Who />
    </AskingButton>
  )
}

export function ResumeButton({ group: { name, partitions }, done }: GroupProps) {
  // Only the operator's tenant sees positions.
  const seen = partitions[0]?.position !== undefined
  const lost = partitions.filter(({ position, low }) => (position ?? 0) < (low ?? 0)).length
  return (
    <AskingButton
      label="Resume…"
      title={`Resume ${name}`}
      sure="Resume group"
      act={({ text }) =>
        post(`v1/groups/${encodeURIComponent(name)}/resume`, text('skip_lost') ? { skip_lost: true } : {})
      }
      done={done}
    >
      <p>It goes on from its position in each partition.</p>
      {(lost > 0 || !seen) && (
        <label class="check">
          <input type="checkbox" name="skip_lost" required={seen} />
          <span>
            {seen
              ? `In ${count(lost)} ${lost === 1 ? 'partition' : 'partitions'}, events were removed before the group has read them: `
              : 'If events were removed before the group has read them, '}
            <strong>go on behind them</strong>
          </span>
        </label>
      )}
      <Who />
    </AskingButton>
  )
}

interface GroupActionProps extends ActionProps {
  group: string
  action: 'replay' | 'discard'
}

/** Replays or discards the open dead letters of a group that match. */
export function GroupDeadLettersButton({ label, ...asked }: GroupActionProps) {
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

const WORDS = {
  replay: {
    sure: 'Replay',
    done: 'replayed',
    what: 'Replayed events are handled again; the position of the group does not move.',
  },
  discard: {
    sure: 'Discard',
    done: 'discarded',
    what: 'Discarded events are never handled by this group. They stay stored, with your reason.',
  },
}

/** Counts with a dry run, asks, then changes them, a thousand with each request. */
function Ask({ group, action, filter, close, done }: GroupActionProps & { close: () => void }) {
  const [dryRun, setDryRun] = useState<GroupDryRun>()
  const [changed, setChanged] = useState<{ count: number; ended: boolean }>()
  const [error, setError] = useState<ApiError>()
  const path = `v1/groups/${encodeURIComponent(group)}/dead-letters/${action}`
  const { sure, done: past, what } = WORDS[action]
  useEffect(() => {
    post<GroupDryRun>(path, { filter, dry_run: true }).then(setDryRun, setError)
  }, [])

  const submit = async (event: SubmitEvent) => {
    const reason = readForm(event).text('reason')
    setError(undefined)
    // One that fails again after that is not replayed again.
    const to = filter.to ?? dryRun!.at
    const change = { filter: { ...filter, to }, ...(reason && { reason }) }
    try {
      for (let sum = 0, more = true; more; ) {
        const answer = await post<{ changed: number; more: boolean }>(path, change)
        sum += answer.changed
        more = answer.more && answer.changed > 0
        setChanged({ count: sum, ended: !more })
      }
    } catch (problem) {
      setError(problem as ApiError)
    }
  }
  const ended = () => {
    close()
    done()
  }
  return (
    <Dialog title={`${sure} dead letters of ${group}`} close={changed ? ended : close}>
      <Problem error={error} />
      {changed ? (
        <>
          <p aria-live="polite">
            {count(changed.count)} {past}
            {!changed.ended && !error && '…'}
          </p>
          <div class="buttons">
            <button type="button" class="main" onClick={ended}>
              Close
            </button>
          </div>
        </>
      ) : dryRun ? (
        <form onSubmit={submit}>
          <p aria-live="polite">
            <strong>
              {count(dryRun.count)}
              {dryRun.more && ' or more'}
            </strong>{' '}
            {dryRun.count === 1 ? 'dead letter matches' : 'dead letters match'}. {what}
          </p>
          {action === 'replay' && dryRun.removed > 0 && (
            <p class="warn">
              {count(dryRun.removed)} of them cannot be replayed: their events were removed from the log.
            </p>
          )}
          <Samples dryRun={dryRun} />
          <label>
            Reason{action === 'replay' && ' (optional)'}
            <input name="reason" maxLength={500} required={action === 'discard'} autoComplete="off" />
          </label>
          <Who />
          <div class="buttons">
            <button type="submit" class={action === 'discard' ? 'danger' : 'main'} disabled={dryRun.count === 0}>
              {sure} {count(dryRun.count)}
              {dryRun.more && ' or more'}
            </button>
          </div>
        </form>
      ) : (
        !error && <p>Counting…</p>
      )}
    </Dialog>
  )
}
