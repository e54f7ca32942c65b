/** The commands of `eventflow schemas`. */
import { COMPATIBILITY_MODES } from '@eventflow/core'
import { Argument, type Command, Option } from 'commander'
import { wholeNumber } from '../arguments.js'
import type { Asking } from './asking.js'
import { changeCompatibility, checkSchema, getSchema, listSchemas, listVersions, registerSchema } from './schemas.js'

export function schemaCommands(program: Command, { command, asks }: Asking): void {
  const schemas = program.command('schemas').description('List, check and register schemas of event types.')
  command(schemas, 'ls', 'List the event types that have a schema.')
    .addHelpText('after', '\nExit code: 0, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas ls')
    .action(asks(listSchemas))
  command(schemas, 'versions', 'List the schema versions of an event type, oldest first.')
    .argument('<type>')
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas versions order.created')
    .action(asks(listVersions))
  command(schemas, 'get', 'Print the schema of an event type as JSON.')
    .argument('<type>')
    .addOption(new Option('--version <number>', 'a version other than the last').argParser(wholeNumber(1, 1e8)))
    .addHelpText('after', '\nExit code: 0, 1 when there is none, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas get order.created --version 1 > order.json')
    .action(asks(getSchema))
  command(schemas, 'check', 'Check whether a schema can become the next version.')
    .argument('<type>')
    .argument('<file>', 'JSON Schema 2020-12')
    .addHelpText('after', '\nExit code: 0, 1 when it cannot, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas check order.created order.json')
    .action(asks(checkSchema))
  command(schemas, 'register', 'Register a schema as the next version. This cannot be undone.')
    .argument('<type>')
    .argument('<file>', 'JSON Schema 2020-12')
    .addHelpText('after', '\nExit code: 0, 1 when it is refused, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas register order.created order.json')
    .action(asks(registerSchema))

  command(schemas, 'compatibility', 'Show or set the compatibility mode for new versions.')
    .argument('<type>')
    .addArgument(new Argument('[mode]', 'the mode to set').choices(COMPATIBILITY_MODES))
    .addHelpText('after', '\nExit code: 0, 1 when it is refused, 2 when the service does not answer.')
    .addHelpText('after', '\nExample: eventflow schemas compatibility order.created FULL')
    .action(asks(changeCompatibility))
}
