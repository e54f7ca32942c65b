/** What stops a start and can be put right by whoever reads it: shown as its message alone, without a stack. */
export class SetupError extends Error {
  override name = 'SetupError'
}
