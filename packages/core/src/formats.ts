/** The string formats that schemas check: those of ajv-formats, each in time proportional to the text. */
import type { Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'

const { source, flags } = ajvFormats.default.get('url') as RegExp

/**
 * The user part of ajv-formats' pattern, which tries every colon with every @ (quadratic time), and a linear
 * equivalent.
 */
const USER = [String.raw`(?:\S+(?::\S*)?@)?`, String.raw`(?:\S+@)?`] as const
const URL_FORM = new RegExp(source.replace(...USER), flags)

/** Adds the formats to an instance, and returns it. */
export function addFormats(ajv: Ajv2020): Ajv2020 {
  ajvFormats.default(ajv)
  return ajv.addFormat('url', URL_FORM)
}
