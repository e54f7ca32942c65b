/** One consumer group beside the plain event. */
import plain from '../../events/plain.js'
import { reader } from '../_reader.js'

export default [plain, reader('one')]
