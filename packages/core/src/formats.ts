/** The formats of texts that are checked: those of ajv-formats, each in a time that is proportional to the text. */
import type { Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'

const { source, flags } = ajvFormats.default.get('url') as RegExp

/** What ajv-formats has, which tries all places of a colon with all places of an @, and the same without that. */
const USER = [String.raw`(?:\S+(?::\S*)?@)?`, String.raw`(?:\S+@)?`] as const
const URL_FORM = new RegExp(source.replace(...USER), flags)

/** Adds the formats to an instance, and gives it back. */
export function addFormats(ajv: Ajv2020): Ajv2020 {
  ajvFormats.default(ajv)
  return ajv.addFormat('url', URL_FORM)
}
