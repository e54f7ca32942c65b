/** An error at the start that the user can fix. Only its message is shown, without a stack. */
export class SetupError extends Error {
  override name = 'SetupError'
}
