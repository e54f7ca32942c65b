/** The operator's console. */
import { render } from 'preact'
import { App } from './app.js'
import { follow } from './live.js'
import { unmaskPages } from './unmask.js'

unmaskPages()
void follow()
render(<App />, document.getElementById('app')!)
