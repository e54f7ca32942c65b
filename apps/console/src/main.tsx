/** The operator's console. */
import { render } from 'preact'

render(<main>EventFlow</main>, document.getElementById('app')!)
