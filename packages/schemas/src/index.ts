/** The registry of schemas: what may become a version, what versions there are, and what an event is checked against. */
export type { Incompatibility } from './examination.js'
export { createExaminer, type Examine, ExaminerBusyError } from './examiner.js'
export * from './registration.js'
