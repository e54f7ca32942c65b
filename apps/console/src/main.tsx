/** The operator's console. */
import { render } from 'preact'
import { App } from './app.js'
import { follow } from './live.js'

void follow()
render(<App />, document.getElementById('app')!)
