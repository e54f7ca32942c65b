/** Five consumer groups beside the plain event, of which one sleeps. */
import plain from '../../events/plain.js'
import { reader } from '../_reader.js'

const names = ['one', 'two', 'three', 'four']

export default [plain, ...names.map((name) => reader(name)), reader('asleep', { sleeps: true })]
