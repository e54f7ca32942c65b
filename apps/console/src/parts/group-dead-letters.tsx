/** The dead letters of a consumer group. */
import type { GroupDeadLetter, Page } from '@eventflow/client'
import { useEffect, useState } from 'preact/hooks'
import { type ApiError, get, type Params, queryOf } from '../api.js'
import { shortId } from '../format.js'
import { href } from '../route.js'
import { Nothing, Problem, Time } from './basics.js'
import { GroupDeadLettersButton } from './group-actions.js'
import { ACTIONS, Clamped, number, Table } from './table.js'

const STATUSES = ['open', 'replaying', 'replayed', 'discarded']

interface Props {
  name: string
  params: Params
  /** Counts the changes; after each one the dead letters are read again. */
  changes: number
  done: () => void
}

/** `params` may name a status and an error class. */
export function GroupDeadLetters({ name, params, changes, done }: Props) {
  const { status = 'open', error_class: errorClass } = params
  return (
    <section>
      <header class="heading">
        <h2>Dead letters</h2>
        <nav class="tabs" aria-label="Status of the dead letters">
          {STATUSES.map((one) => (
            <a
              key={one}
              href={href(['groups', name], { error_class: errorClass, ...(one !== 'open' && { status: one }) })}
              {...(one === status && { 'aria-current': 'page' })}
            >
              {one}
            </a>
          ))}
        </nav>
      </header>
      {errorClass && (
        <p class="chips">
          <span class="chip">
            <span>
              error class: <strong>{errorClass}</strong>
            </span>
            <a
              aria-label="Remove the filter error class"
              href={href(['groups', name], status === 'open' ? {} : { status })}
            >
              ✕
            </a>
          </span>
        </p>
      )}
      <Letters key={`${queryOf({ status, errorClass })} ${changes}`} {...{ name, status, errorClass, done }} />
    </section>
  )
}

interface LettersProps {
  name: string
  status: string
  errorClass: string | undefined
  done: () => void
}

function Letters({ name, status, errorClass, done }: LettersProps) {
  const [items, setItems] = useState<GroupDeadLetter[]>()
  const [next, setNext] = useState<string | null>(null)
  const [error, setError] = useState<ApiError>()
  const filter = errorClass ? { error_class: errorClass } : {}
  const load = async (cursor?: string) => {
    try {
      const asked = { error_class: errorClass, status, cursor, limit: '20' }
      const page = await get<Page<GroupDeadLetter>>(`v1/groups/${encodeURIComponent(name)}/dead-letters`, asked)
      setItems((before) => (cursor && before ? [...before, ...page.items] : page.items))
      setNext(page.next)
    } catch (problem) {
      setError(problem as ApiError)
    }
  }
  useEffect(() => void load(), [])
  return (
    <>
      <Problem error={error} />
      {items?.length === 0 && <Nothing>{status === 'open' ? 'No open dead letters.' : `None is ${status}.`}</Nothing>}
      {items && items.length > 0 && <Found {...{ name, status, items, done }} />}
      {next && (
        <div class="buttons">
          <button type="button" onClick={() => load(next)}>
            Load older
          </button>
        </div>
      )}
      {status === 'open' && items && items.length > 1 && (
        <div class="buttons">
          <GroupDeadLettersButton
            group={name}
            action="replay"
            filter={filter}
            done={done}
            label="Replay all matching…"
          />
          <GroupDeadLettersButton
            group={name}
            action="discard"
            filter={filter}
            done={done}
            label="Discard all matching…"
          />
        </div>
      )}
    </>
  )
}

function Found({
  name,
  status,
  items,
  done,
}: {
  name: string
  status: string
  items: readonly GroupDeadLetter[]
  done: () => void
}) {
  return (
    <Table label="Dead letters" columns={['Failed', 'Type', 'Key', 'Id', 'Error', number('Attempts'), ACTIONS]}>
      {items.map((letter, i) => {
        // Of another tenant's event only the kind of failure is told.
        const own = letter.tenant === undefined ? letter : undefined
        const failed = <Time at={letter.failed_at} />
        return (
          <tr key={own?.id ?? i}>
            <td>{own ? <a href={href(['events', own.id])}>{failed}</a> : failed}</td>
            <td class="cut" title={letter.type}>
              {letter.type}
            </td>
            <td class="cut" title={own?.partitionkey ?? ''}>
              {own?.partitionkey === own?.id ? '–' : own?.partitionkey}
            </td>
            <td>{own ? <code>…{shortId(own.id)}</code> : `of ${letter.tenant}`}</td>
            <td class="wide">
              <ErrorOf name={name} status={status} letter={letter} />
            </td>
            <td class="number">{letter.attempts}</td>
            <td>{status === 'open' && own && <Single name={name} id={own.id} done={done} />}</td>
          </tr>
        )
      })}
    </Table>
  )
}

/** The message; the class leads to all of its kind. */
function ErrorOf({ name, status, letter }: { name: string; status: string; letter: GroupDeadLetter }) {
  const { failure } = letter
  const alike = { error_class: failure.error_class, ...(status !== 'open' && { status }) }
  return (
    <>
      <a href={href(['groups', name], alike)}>{failure.error_class}</a>
      {letter.tenant === undefined && (
        <>
          <Clamped text={letter.failure.message} />
          {letter.resolved_by && (
            <small>{` by ${letter.resolved_by}${letter.reason ? `: ${letter.reason}` : ''}`}</small>
          )}
        </>
      )}
    </>
  )
}

function Single({ name, id, done }: { name: string; id: string; done: () => void }) {
  const one = { group: name, filter: { ids: [id] }, done }
  return (
    <div class="buttons">
      <GroupDeadLettersButton {...one} action="replay" label="Replay…" />
      <GroupDeadLettersButton {...one} action="discard" label="Discard…" />
    </div>
  )
}
