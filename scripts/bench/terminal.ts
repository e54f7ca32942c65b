/** Where a run reports its progress: `say` writes a line that stays, `now` one that the next line replaces. */
export interface Terminal {
  say(line: string): void
  now(line: string): void
}
