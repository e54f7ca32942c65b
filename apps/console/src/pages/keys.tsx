/** API keys: create, show once, revoke. */
import { useState } from 'preact/hooks'
import type { ApiKey } from '../answers.js'
import { type ApiError, post, queryOf, remove } from '../api.js'
import { readForm } from '../form.js'
import { ago, shellWord } from '../format.js'
import { AskingButton } from '../parts/asking.js'
import { Badge, Copy, Heading, Nothing, Problem, Same, Time } from '../parts/basics.js'
import { Dialog } from '../parts/dialog.js'
import { useFirstOf } from '../parts/first-of.js'
import { ACTIONS, Table } from '../parts/table.js'
import { useGet } from '../use-get.js'

const SCOPES = [
  ['ingest', 'send events'],
  ['read', 'read events, dead letters and the state of the pipeline'],
  ['replay', 'replay and discard dead letters, skip blocked events, pause, resume and reset consumer groups'],
  ['admin', 'manage API keys and schemas, read the audit log'],
] as const

export function KeysPage() {
  const { answer, error, again } = useGet<{ items: ApiKey[] }>('v1/keys')
  const [making, setMaking] = useState(false)
  const make = (
    <button type="button" class="main" onClick={() => setMaking(true)}>
      Create API key…
    </button>
  )
  return (
    <>
      <Heading aside={make}>API keys</Heading>
      <Problem error={error} />
      {answer?.items.length === 0 && (
        <Nothing>
          There are no API keys. Requests from this machine need none; requests from other machines are refused.
        </Nothing>
      )}
      {answer && answer.items.length > 0 && <KeyTable keys={answer.items} again={again} />}
      {making && <Make close={() => setMaking(false)} made={again} />}
      <Same
        sql={SQL}
        cli={'eventflow keys list\neventflow keys create --name checkout --scopes ingest'}
        http="/v1/keys"
      />
    </>
  )
}

const SQL = `SELECT name, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys WHERE tenant_id = 'default' ORDER BY created_at DESC;`

const isOver = (at: string | null) => at !== null && Date.parse(at) <= Date.now()

function KeyTable({ keys, again }: { keys: readonly ApiKey[]; again: () => void }) {
  const { first, more } = useFirstOf(keys)
  return (
    <>
      <Table label="API keys" columns={['Name', 'Scopes', 'Created', 'Last used', 'Expires', ACTIONS]}>
        {first.map((key) => (
          <tr key={key.id}>
            <th scope="row" class="cut" title={key.name}>
              {key.name}
              <small>
                <code>ef_{key.id}_…</code>
              </small>
            </th>
            <td>{key.scopes.join(', ')}</td>
            <td>
              <Time at={key.created_at} />
            </td>
            <td>{key.last_used_at ? ago(key.last_used_at) : 'never'}</td>
            <td>
              <End of={key} />
            </td>
            <td>{!isOver(key.expires_at) && !key.revoked_at && <Revoke of={key} again={again} />}</td>
          </tr>
        ))}
      </Table>
      {more}
    </>
  )
}

function End({ of: { revoked_at, expires_at } }: { of: ApiKey }) {
  if (revoked_at) return isOver(revoked_at) ? <Badge of="revoked" /> : <>revoked {ago(revoked_at)}</>
  if (expires_at) return isOver(expires_at) ? <Badge of="expired" /> : <>expires {ago(expires_at)}</>
  return <>never</>
}

function Make({ close, made }: { close: () => void; made: () => void }) {
  const [error, setError] = useState<ApiError>()
  const [key, setKey] = useState('')
  const submit = async (event: SubmitEvent) => {
    const { text, all } = readForm(event)
    const days = Number(text('days'))
    const asked = { name: text('name'), scopes: all('scope'), ...(days > 0 && { expires_in_days: days }) }
    setError(undefined)
    await post<{ key: string }>('v1/keys', asked).then((answer) => {
      setKey(answer.key)
      made()
    }, setError)
  }
  return (
    <Dialog title="Create API key" close={close}>
      <Problem error={error} />
      {key ? (
        <>
          <p>Copy the key now: it is not shown again.</p>
          <pre>{key}</pre>
          <div class="buttons">
            <Copy text={key} label="Copy key" />
            <button type="button" class="main" onClick={close}>
              Done
            </button>
          </div>
        </>
      ) : (
        <form onSubmit={submit}>
          <label>
            Name
            <input name="name" required maxLength={100} placeholder="such as checkout-service" autoComplete="off" />
          </label>
          <fieldset>
            <legend>Scopes</legend>
            {SCOPES.map(([scope, what]) => (
              <label class="check" key={scope}>
                <input type="checkbox" name="scope" value={scope} defaultChecked={scope === 'ingest'} />
                <strong>{scope}</strong> {what}
              </label>
            ))}
          </fieldset>
          <label>
            Days until expiry (empty: never)
            <input name="days" type="number" min="1" max="3650" />
          </label>
          <div class="buttons">
            <button type="submit" class="main">
              Create key
            </button>
          </div>
        </form>
      )}
    </Dialog>
  )
}

function Revoke({ of: { id, name }, again }: { of: ApiKey; again: () => void }) {
  return (
    <AskingButton
      label="Revoke…"
      look="danger"
      title={`Revoke ${name}`}
      sure="Revoke key"
      act={({ text }) => remove(`v1/keys/${id}${queryOf({ after_hours: text('hours') })}`)}
      done={again}
      below={<Same cli={`eventflow keys revoke ${shellWord(id)}`} />}
    >
      <p>Requests with this key are refused within five seconds, or after the hours you enter.</p>
      <label>
        Hours until revocation (empty: at once)
        <input name="hours" type="number" min="0" max="9999" />
      </label>
    </AskingButton>
  )
}
