/** Pausing and resuming consumer groups, and replaying or discarding what one has failed to handle. */
import type { DeadLetterAction, DeadLetterFilter, WholeGroup } from '@eventflow/client'
import { post } from '../api.js'
import { count } from '../format.js'
import { AskingButton, Who } from './asking.js'
import { type Asked, DeadLettersButton } from './dead-letters-button.js'

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

const WORDS = {
  replay: {
    past: 'replayed',
    what: 'Replayed events are handled again; the position of the group does not move.',
  },
  discard: {
    past: 'discarded',
    what: 'Discarded events are never handled by this group. They stay stored, with your reason.',
  },
}

interface GroupActionProps {
  group: string
  action: DeadLetterAction
  filter: DeadLetterFilter
  done: () => void
  label: string
}

/** Replays or discards the open dead letters of a group that match, a thousand with each request. */
export function GroupDeadLettersButton({ group, action, ...asked }: GroupActionProps) {
  const path = `v1/groups/${encodeURIComponent(group)}/dead-letters/${action}`
  const { past, what } = WORDS[action]
  const act = async ({ order, extent, show, end }: Asked) => {
    // One that fails again after that is not replayed again.
    const filter = { ...order.filter, to: order.filter.to ?? extent.at }
    let sum = 0
    try {
      for (let more = true; more; ) {
        const answer = await post<{ changed: number; more: boolean }>(path, { ...order, filter })
        sum += answer.changed
        more = answer.more && answer.changed > 0
        show(<Changed told={`${count(sum)} ${past}${more ? '…' : ''}`} close={end} />)
      }
    } catch (problem) {
      if (sum > 0) show(<Changed told={`${count(sum)} ${past}`} close={end} />)
      throw problem
    }
  }
  return <DeadLettersButton {...asked} {...{ action, path, what, act }} whose={` of ${group}`} />
}

function Changed({ told, close }: { told: string; close: () => void }) {
  return (
    <>
      <p aria-live="polite">{told}</p>
      <div class="buttons">
        <button type="button" class="main" onClick={close}>
          Close
        </button>
      </div>
    </>
  )
}
