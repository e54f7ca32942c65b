/** Forms: read by the page, never sent by the browser. */
import { rememberOperator } from './api.js'

/** What a form says. */
export interface Form {
  /** What stands in a field; empty where the form has none of this name. */
  text: (name: string) => string
  /** All that is chosen under a name. */
  all: (name: string) => string[]
}

/** Reads the form that is submitted. Who acts, where it asks for that, is remembered for the next one. */
export function readForm(event: SubmitEvent): Form {
  event.preventDefault()
  const sent = new FormData(event.currentTarget as HTMLFormElement)
  const text = (name: string) => `${sent.get(name) ?? ''}`.trim()
  if (sent.has('operator')) rememberOperator(text('operator'))
  return { text, all: (name) => sent.getAll(name).map(String) }
}
