/** What fails, and how, is said by the event. */
export { default } from '../events/fault-step.js'
