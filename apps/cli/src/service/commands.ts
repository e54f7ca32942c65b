/** The commands that talk to the service over HTTP. */
import type { Command } from 'commander'
import { createAsking, type Surroundings } from './asking.js'
import { deadLetterCommands } from './dead-letter-commands.js'
import { eventCommands } from './event-commands.js'
import { groupCommands } from './group-commands.js'
import { logCommands } from './log-commands.js'
import { schemaCommands } from './schema-commands.js'
import { sendCommand } from './send-command.js'
import { windowCommands } from './window-commands.js'

export function serviceCommands(program: Command, around: Surroundings): void {
  const asking = createAsking(around)
  sendCommand(program, asking)
  eventCommands(program, asking)
  logCommands(program, asking)
  schemaCommands(program, asking)
  deadLetterCommands(program, asking)
  groupCommands(program, asking)
  windowCommands(program, asking)
}
