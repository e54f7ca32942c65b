/** Reads forms; the browser never submits them. */
import { rememberOperator } from './api.js'

/** The values of a form. */
export interface Form {
  /** The value of a field; empty if there is no field of this name. */
  text: (name: string) => string
  /** All selected values of a name. */
  all: (name: string) => string[]
}

/** Reads the submitted form. The operator's name, if the form asks for it, is remembered for the next form. */
export function readForm(event: SubmitEvent): Form {
  event.preventDefault()
  const sent = new FormData(event.currentTarget as HTMLFormElement)
  const text = (name: string) => `${sent.get(name) ?? ''}`.trim()
  if (sent.has('operator')) rememberOperator(text('operator'))
  return { text, all: (name) => sent.getAll(name).map(String) }
}
