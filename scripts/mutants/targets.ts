/** What is mutated, and which tests are asked to notice; by the paths of compiled files from the root of the repository. */

/** Each part of the product by its name. */
export const TARGETS: Record<string, RegExp> = {
  core: /^packages\/core\/dist\/[\w-]+\.js$/,
  keys: /^apps\/worker\/dist\/keys\.js$/,
  entries: /^apps\/worker\/dist\/entries\.js$/,
  publish: /^packages\/stream\/dist\/publish\.js$/,
  partition: /^apps\/worker\/dist\/partition\.js$/,
  accept: /^apps\/ingest\/dist\/accept\.js$/,
  settle: /^(apps\/worker|packages\/db)\/dist\/(settle|write|effects|handler-failure|lent-transaction)\.js$/,
}

/** The fault tests are not among them: they have planted bugs of their own, and take too long for a thousand mutants. */
export const TESTS =
  /^((packages\/(core|db|stream|schemas|pipeline)|apps\/(ingest|worker))\/|tests\/dist\/(db|flow|http-docs)).*(?<!\.long)\.test\.js$/
