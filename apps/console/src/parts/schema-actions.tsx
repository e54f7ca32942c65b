/** Actions on the schema of a type: check and register a version, set the compatibility mode. */
import type { SchemaCheck } from '@eventflow/client'
import { useState } from 'preact/hooks'
import type { Json } from '../answers.js'
import { type ApiError, post, put } from '../api.js'
import { readForm } from '../form.js'
import { go } from '../route.js'
import { AskingButton, Who } from './asking.js'
import { Problem } from './basics.js'
import { Changes } from './changes.js'
import { Dialog } from './dialog.js'

/** The draft for a new event type. */
const DRAFT: Json = { type: 'object', properties: {}, required: [], additionalProperties: false }

interface RegisterProps {
  label: string
  /** Missing for a new type. */
  type?: string
  /** The last version. */
  latest?: Json
  done: () => void
}

export function RegisterButton({ label, ...rest }: RegisterProps) {
  const [asking, setAsking] = useState(false)
  return (
    <>
      <button type="button" class="main" onClick={() => setAsking(true)}>
        {label}
      </button>
      {asking && <Register {...rest} close={() => setAsking(false)} />}
    </>
  )
}

function Register({ type, latest, close, done }: Omit<RegisterProps, 'label'> & { close: () => void }) {
  const [name, setName] = useState(type ?? '')
  const [text, setText] = useState(JSON.stringify(latest ?? DRAFT, null, 2))
  const [check, setCheck] = useState<SchemaCheck>()
  const [error, setError] = useState<ApiError>()
  const path = `v1/schemas/${encodeURIComponent(name.trim())}`
  const { schema, mistake } = parse(text)

  const edit = (edited: string) => {
    setText(edited)
    setCheck(undefined)
    setError(undefined)
  }
  const ask = () => {
    setError(undefined)
    post<SchemaCheck>(`${path}/check`, { schema }).then(setCheck, setError)
  }
  const submit = async (event: SubmitEvent) => {
    readForm(event)
    setError(undefined)
    setCheck(undefined)
    await put<{ version: number }>(path, { schema }).then(({ version }) => {
      close()
      done()
      go(['schemas', name.trim()], { version: `${version}` })
    }, setError)
  }
  return (
    <Dialog title={type ? `New version of ${type}` : 'Schema for a new event type'} close={close}>
      <form onSubmit={submit}>
        {type === undefined && (
          <label>
            Type
            <input
              value={name}
              required
              maxLength={200}
              autoComplete="off"
              onInput={(e) => setName(e.currentTarget.value)}
            />
          </label>
        )}
        <label>
          Schema
          <textarea
            rows={12}
            spellcheck={false}
            value={text}
            aria-invalid={mistake !== ''}
            aria-describedby="schema-mistake"
            onInput={(e) => edit(e.currentTarget.value)}
          />
        </label>
        <p id="schema-mistake" class="mistake" aria-live="polite">
          {mistake}
        </p>
        {latest !== undefined && schema !== undefined && (
          <details class="same" open>
            <summary>Changes since the last version</summary>
            <Changes before={latest} after={schema} />
          </details>
        )}
        <div aria-live="polite">{check && <Checked check={check} />}</div>
        <Problem error={error} />
        <Who />
        <p class="hint">A registered version cannot be changed. Workers use it within seconds.</p>
        <div class="buttons">
          <button type="button" disabled={schema === undefined || name.trim() === ''} onClick={ask}>
            Check
          </button>
          <button type="submit" class="main" disabled={schema === undefined}>
            Register
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function parse(text: string): { schema?: Json; mistake: string } {
  try {
    return { schema: JSON.parse(text), mistake: '' }
  } catch (error) {
    return { mistake: (error as Error).message }
  }
}

function Checked({ check: { compatible, compatibility, incompatibilities } }: { check: SchemaCheck }) {
  if (compatible) return <p class="well">The schema can be registered: it is {compatibility} compatible.</p>
  return (
    <div class="problem">
      <strong>Not {compatibility} compatible.</strong>
      <ul>
        {incompatibilities.map(({ path, rule, message, version }) => (
          <li key={`${path} ${rule} ${version}`}>
            <code>{path || '/'}</code> {message} <small>{rule}</small>
          </li>
        ))}
      </ul>
    </div>
  )
}

const MODES = [
  ['BACKWARD', 'data that fits the last version fits the new one'],
  ['BACKWARD_TRANSITIVE', 'data that fits any earlier version fits the new one'],
  ['FORWARD', 'data that fits the new version fits the last one'],
  ['FORWARD_TRANSITIVE', 'data that fits the new version fits every earlier one'],
  ['FULL', 'both BACKWARD and FORWARD'],
  ['FULL_TRANSITIVE', 'both BACKWARD_TRANSITIVE and FORWARD_TRANSITIVE'],
  ['NONE', 'versions are not compared'],
] as const

export function CompatibilityButton({ type, mode, done }: { type: string; mode: string; done: () => void }) {
  return (
    <AskingButton
      label="Change…"
      look="quiet"
      title={`Compatibility of ${type}`}
      sure="Save"
      act={({ text }) =>
        put(`v1/schemas/${encodeURIComponent(type)}/compatibility`, { compatibility: text('compatibility') })
      }
      done={done}
    >
      <fieldset>
        <legend>Rule for the versions registered from now on</legend>
        {MODES.map(([name, meaning]) => (
          <label class="check" key={name}>
            <input type="radio" name="compatibility" value={name} defaultChecked={name === mode} />
            <span>
              <strong>{name}</strong> {meaning}
            </span>
          </label>
        ))}
      </fieldset>
      <Who />
    </AskingButton>
  )
}
