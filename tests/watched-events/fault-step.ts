/** An event whose data says how it fails. */
export { default } from '../events/fault-step.js'
