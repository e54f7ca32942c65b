/**
 * The schema registry: which schema may become a version, which versions exist, and what an event is checked against.
 */
export { type Contract, type OwnContract, ownContractOf, statedVersion, type WantedVersion } from './contract.js'
export type { Incompatibility } from './examination.js'
export { createExaminer, NotExaminedError } from './examiner.js'
export { followSchemas, type LoadedVersions, type Registry } from './follow.js'
export { completePlans, type Plan, planFor, readData } from './read-data.js'
export * from './registration.js'
export { createVersions, type Versions } from './versions.js'
