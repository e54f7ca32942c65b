/**
 * The mutated files, and the tests that have to detect the mutants; by the paths of compiled files from the root of the
 * repository.
 */

/** A part of the product. */
export interface Target {
  files: RegExp
  tests: RegExp
  /** The tests about this part: they run before the others. */
  first?: RegExp
}

/** Tests beside the sources, and tests of the documents that repeat a table of the sources. */
const UNIT =
  /^((packages\/(core|db|redis|schemas|sdk|intake|engine)|apps\/ingest)\/|tests\/dist\/http-docs).*(?<!\.long)\.test\.js$/

/**
 * Those, and whole pipelines. Not the fault tests: they plant bugs themselves, and take too long for a thousand
 * mutants.
 */
const ALL = new RegExp(`${UNIT.source}|^tests\\/dist\\/(db|feeds|flow|stream)\\/.*(?<!\\.long)\\.test\\.js$`)

/** Each part by its name. */
export const TARGETS: Record<string, Target> = {
  core: { files: /^packages\/core\/dist\/[\w-]+\.js$/, tests: UNIT },
  keys: { files: /^packages\/engine\/dist\/partition\/keys\.js$/, tests: UNIT },
  entries: { files: /^packages\/engine\/dist\/partition\/entries\.js$/, tests: UNIT },
  publish: { files: /^packages\/redis\/dist\/publish\.js$/, tests: ALL },
  partition: {
    files: /^packages\/engine\/dist\/partition\/(partition|begin|join)\.js$/,
    tests: ALL,
    first: /\/flow\/(partition|suspects|waiting|fairness|rollbacks)\.test/,
  },
  accept: {
    files: /^packages\/intake\/dist\/(accept|store|announce)\.js$/,
    tests: ALL,
    first: /\/flow\/(accept|outages|metrics)\.test/,
  },
  settle: {
    files:
      /^packages\/(engine\/dist\/settle\/(settle|write|effects|handler-failure)|db\/dist\/(ledger\/settle|server\/lent-transaction))\.js$/,
    tests: ALL,
    first:
      /\/(db\/(settle|end-waiting)|flow\/(settle-\w+|fenced|slow-handler|handler-transactions|bad-handlers|waiting))\.test/,
  },
}
