/** A group as its readers know it: deleting it or resetting its state ends the generation. */
export interface Generation {
  groupId: number
  generation: number
}
