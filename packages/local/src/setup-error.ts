/** A startup error that the user can fix: shown as its message alone, without a stack. */
export class SetupError extends Error {
  override name = 'SetupError'
}
