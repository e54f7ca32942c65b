/** The frame around the pages: navigation, connection state and keyboard shortcuts. */
import { useEffect, useState } from 'preact/hooks'
import { apiKey, keyRefused, keysGiven, keyWanted, rememberKey } from './api.js'
import { readForm } from './form.js'
import { count } from './format.js'
import { lost, moment } from './live.js'
import { DeadLettersPage } from './pages/dead-letters.js'
import { EventPage } from './pages/event.js'
import { EventsPage } from './pages/events.js'
import { GroupPage } from './pages/group.js'
import { GroupsPage } from './pages/groups.js'
import { JoinPage } from './pages/join.js'
import { JoinsPage } from './pages/joins.js'
import { KeysPage } from './pages/keys.js'
import { LivePage } from './pages/live.js'
import { PartitionsPage } from './pages/partitions.js'
import { SchemaPage } from './pages/schema.js'
import { SchemasPage } from './pages/schemas.js'
import { SendPage } from './pages/send.js'
import { WindowPage } from './pages/window.js'
import { WindowsPage } from './pages/windows.js'
import { Dialog } from './parts/dialog.js'
import { go, href, route } from './route.js'
import { changeTheme, theme } from './theme.js'

/** Pressing this key after `g` opens the page. */
const PAGES = [
  { path: 'live', name: 'Live', key: 'l' },
  { path: 'events', name: 'Events', key: 'e' },
  { path: 'dead-letters', name: 'Dead letters', key: 'd' },
  { path: 'partitions', name: 'Partitions', key: 'p' },
  { path: 'groups', name: 'Groups', key: 'r' },
  { path: 'windows', name: 'Windows', key: 'w' },
  { path: 'joins', name: 'Joins', key: 'j' },
  { path: 'schemas', name: 'Schemas', key: 'c' },
  { path: 'send', name: 'Send', key: 's' },
  { path: 'keys', name: 'API keys', key: 'k' },
]

export function App() {
  const [help, setHelp] = useState(false)
  const [path = 'live', id] = route.value.path
  useEffect(() => listenForKeys(() => setHelp(true)), [])
  useEffect(() => {
    document.title = `${PAGES.find((page) => page.path === path)?.name ?? 'EventFlow'} · EventFlow`
  }, [path])
  useEffect(announcePages, [])
  return (
    <>
      <button type="button" class="skip" onClick={focusHeading}>
        Skip to content
      </button>
      <header class="frame">
        <a class="brand" href={href(['live'])}>
          <img src={ICON} alt="" width="22" height="22" />
          EventFlow
        </a>
        <nav aria-label="Pages">
          {PAGES.map((page) => (
            <a key={page.path} href={href([page.path])} {...(page.path === path && { 'aria-current': 'page' })}>
              {page.name}
              {page.path === 'dead-letters' && <Open />}
            </a>
          ))}
        </nav>
        <div class="foot">
          <Connection />
          <button type="button" class="quiet" onClick={changeTheme}>
            {theme.value === 'dark' ? 'Light' : 'Dark'}
          </button>
          <button type="button" class="quiet keyboard" onClick={() => setHelp(true)} aria-keyshortcuts="?">
            Shortcuts
          </button>
          <a href="docs">API</a>
        </div>
      </header>
      {/* A new key remounts the page, so that everything is read again. */}
      <main key={keysGiven.value}>{pageOf(path, id)}</main>
      {help && <Help close={() => setHelp(false)} />}
      {keyWanted.value && <KeyDialog />}
    </>
  )
}

const ICON = new URL('./icon.svg', import.meta.url).href

function pageOf(path: string, id: string | undefined) {
  if (path === 'events') return id ? <EventPage id={id} key={id} /> : <EventsPage />
  if (path === 'schemas') return id ? <SchemaPage type={id} key={id} /> : <SchemasPage />
  if (path === 'groups') return id ? <GroupPage name={id} key={id} /> : <GroupsPage />
  if (path === 'windows') return id ? <WindowPage name={id} key={id} /> : <WindowsPage />
  if (path === 'joins') return id ? <JoinPage name={id} key={id} /> : <JoinsPage />
  if (path === 'dead-letters') return <DeadLettersPage />
  if (path === 'partitions') return <PartitionsPage />
  if (path === 'keys') return <KeysPage />
  return path === 'send' ? <SendPage /> : <LivePage />
}

/** The number of open dead letters. */
function Open() {
  const dead = moment.value?.dead ?? 0
  return dead > 0 ? (
    <span class="open">
      {count(dead)}
      <span class="unseen"> open</span>
    </span>
  ) : null
}

function Connection() {
  return (
    <span class={`connection ${lost.value ? 'lost' : ''}`} role="status" title={lost.value}>
      {lost.value ? 'no connection' : 'live'}
      {keyRefused.value && (
        <button
          type="button"
          class="quiet"
          onClick={() => {
            keyWanted.value = true
          }}
        >
          Enter key
        </button>
      )}
    </span>
  )
}

const focusHeading = () => document.querySelector<HTMLElement>('main h1')?.focus()

/** Moves the focus to the heading after each navigation, for screen readers. */
function announcePages(): () => void {
  let before = route.value.path[0]
  const changed = () => {
    const [path] = route.value.path
    if (path !== before) requestAnimationFrame(focusHeading)
    before = path
  }
  addEventListener('hashchange', changed)
  return () => removeEventListener('hashchange', changed)
}

function listenForKeys(showHelp: () => void): () => void {
  let going = false
  const pressed = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement
    const typing = /^(input|textarea|select)$/i.test(target.tagName) || document.querySelector('dialog[open]')
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return
    const page = going && PAGES.find(({ key }) => key === event.key)
    going = event.key === 'g'
    if (page) go([page.path])
    else if (event.key === '?') showHelp()
    else if (event.key === 't') changeTheme()
    else if (event.key === 'j' || event.key === 'k') moveInRows(event.key === 'j' ? 1 : -1)
    else if (event.key === '/') {
      event.preventDefault()
      if (route.value.path[0] !== 'events' || route.value.path[1]) go(['events'])
      requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById('search')?.focus()))
    }
  }
  addEventListener('keydown', pressed)
  return () => removeEventListener('keydown', pressed)
}

function moveInRows(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>('a.row')]
  const at = rows.indexOf(document.activeElement as HTMLElement)
  rows[Math.min(rows.length - 1, Math.max(0, at + by))]?.focus()
}

function Help({ close }: { close: () => void }) {
  return (
    <Dialog title="Shortcuts" close={close}>
      <dl class="keys">
        {PAGES.map(({ key, name }) => (
          <div key={key}>
            <dt>
              <kbd>g</kbd> <kbd>{key}</kbd>
            </dt>
            <dd>{name}</dd>
          </div>
        ))}
        <div>
          <dt>
            <kbd>/</kbd>
          </dt>
          <dd>search events</dd>
        </div>
        <div>
          <dt>
            <kbd>j</kbd> <kbd>k</kbd>
          </dt>
          <dd>next or previous row; Enter opens it</dd>
        </div>
        <div>
          <dt>
            <kbd>t</kbd>
          </dt>
          <dd>switch between light and dark</dd>
        </div>
      </dl>
    </Dialog>
  )
}

function KeyDialog() {
  return (
    <Dialog
      title="API key required"
      close={() => {
        keyWanted.value = false
      }}
    >
      <form onSubmit={(event) => rememberKey(readForm(event).text('key'))}>
        <p>
          {apiKey.value ? 'The key was refused.' : 'This service requires an API key.'} The key is kept in this tab
          only.
        </p>
        <label>
          API key
          <input name="key" type="password" required autoComplete="off" />
        </label>
        <div class="buttons">
          <button type="submit" class="main">
            Use key
          </button>
        </div>
      </form>
    </Dialog>
  )
}
