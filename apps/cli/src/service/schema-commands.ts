/** The commands of `eventflow schemas`. */
import { COMPATIBILITY_MODES } from '@eventflow/core'
import { Argument, type Command, Option } from 'commander'
import { wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import { changeCompatibility, checkSchema, getSchema, listSchemas, listVersions, registerSchema } from './schemas.js'

export function schemaCommands(program: Command, { command, asks }: Asking): void {
  const schemas = program
    .command('schemas')
    .description('Schemas of event types: ls, versions, get, check, register, compatibility.')
  command(schemas, 'ls', 'The types that have a schema.')
    .addHelpText('after', '\nExit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas ls')
    .action(asks(listSchemas))
  command(schemas, 'versions', 'The versions of the schema of a type, the first one first.')
    .argument('<type>')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas versions order.created')
    .action(asks(listVersions))
  command(schemas, 'get', 'The schema of a type, as JSON.')
    .argument('<type>')
    .addOption(new Option('--version <number>', 'another than the last').argParser(wholeNumber(1, 1e8)))
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas get order.created --version 1 > order.json')
    .action(asks(getSchema))
  command(schemas, 'check', 'Whether a schema could be the next version of a type.')
    .argument('<type>')
    .argument('<file>', 'JSON Schema 2020-12')
    .addHelpText('after', '\nExit code: 0, 1 when it could not, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas check order.created order.json')
    .action(asks(checkSchema))
  command(schemas, 'register', 'Make a schema the next version of a type, for good.')
    .argument('<type>')
    .argument('<file>', 'JSON Schema 2020-12')
    .addHelpText('after', '\nExit code: 0, 1 when it is refused, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas register order.created order.json')
    .action(asks(registerSchema))

  command(schemas, 'compatibility', 'What a new version of a type must be to those before it; with a mode, sets it.')
    .argument('<type>')
    .addArgument(new Argument('[mode]', 'from now on').choices(COMPATIBILITY_MODES))
    .addHelpText('after', '\nExit code: 0, 1 when it is refused, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas compatibility order.created FULL')
    .action(asks(changeCompatibility))
}
