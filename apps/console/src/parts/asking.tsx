/** Confirmation dialogs: each asks for a reason and the operator's name. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { operator } from '../api.js'
import { type Form, readForm } from '../form.js'
import { Problem } from './basics.js'
import { Dialog } from './dialog.js'

interface AskingButtonProps {
  label: string
  look?: 'danger' | 'quiet' | ''
  title: string
  /** The label of the button that confirms. */
  sure: string
  /** Performs the action. An error is shown, and the user can try again. */
  act: (form: Form) => Promise<unknown>
  done: () => void
  /** The question and the fields of the form. */
  children: ComponentChildren
  below?: ComponentChildren
}

/** A button that opens a confirmation dialog. */
export function AskingButton({ label, look = '', title, sure, act, done, children, below }: AskingButtonProps) {
  const [asking, setAsking] = useState(false)
  const [error, setError] = useState<Error>()
  const submit = async (event: SubmitEvent) => {
    const form = readForm(event)
    setError(undefined)
    await act(form).then(() => {
      setAsking(false)
      done()
    }, setError)
  }
  return (
    <>
      <button type="button" class={look} onClick={() => setAsking(true)}>
        {label}
      </button>
      {asking && (
        <Dialog title={title} close={() => setAsking(false)}>
          <Problem error={error} />
          <form onSubmit={submit}>
            {children}
            <div class="buttons">
              <button type="submit" class={look === 'danger' ? 'danger' : 'main'}>
                {sure}
              </button>
            </div>
          </form>
          {below}
        </Dialog>
      )}
    </>
  )
}

/** The field for the operator's name, for the audit log. */
export function Who() {
  return (
    <label>
      Your name, for the audit log
      <input
        name="operator"
        defaultValue={operator.value}
        maxLength={200}
        required
        autoComplete="name"
        pattern="[ -~]+"
      />
    </label>
  )
}
