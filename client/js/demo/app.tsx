import { useEffect, useState } from 'react'
import { useSnapshot } from '../src/react.js'
import { nameOf } from './format.js'
import { Icon } from './icons.js'
import { Pane } from './pane.js'
import { people } from './people.js'
import { sessionOf } from './session.js'
import { SignIn } from './signin.js'
import { Dialog, IconButton, Segments, Within } from './ui.js'

/** Side by side, which no user id can be. */
const BOTH = '*'

/** Light or dark: as the system has it, until the visitor says otherwise. */
function useTheme(): [string, () => void] {
  const [theme, setTheme] = useState(
    () => localStorage.getItem('parley.theme') ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'),
  )
  useEffect(() => {
    document.documentElement.dataset.theme = theme
  }, [theme])
  const toggle = () => {
    const other = theme === 'dark' ? 'light' : 'dark'
    localStorage.setItem('parley.theme', other)
    setTheme(other)
  }
  return [theme, toggle]
}

function useWide(): boolean {
  const query = matchMedia('(min-width: 1000px)')
  const [wide, setWide] = useState(query.matches)
  useEffect(() => {
    const changed = () => setWide(query.matches)
    query.addEventListener('change', changed)
    return () => query.removeEventListener('change', changed)
  }, [query])
  return wide
}

export function App() {
  const { demo, here, unreachable } = useSnapshot(people.view)
  const [view, setView] = useState(() => new URLSearchParams(location.search).get('as') ?? BOTH)
  const [theme, toggleTheme] = useTheme()
  const [active, setActive] = useState<string>()
  const [adding, setAdding] = useState(false)
  const [main, setMain] = useState<HTMLElement | null>(null)
  const wide = useWide()
  useEffect(() => void people.load(), [])

  const shown = view !== BOTH && here.includes(view) ? [view] : view !== BOTH && demo?.length === 0 ? [] : here.slice(0, wide ? 2 : 1)
  const choices = [...(wide && here.length > 1 ? [BOTH] : []), ...here]
  const select = (next: string) => {
    setView(next)
    if (next !== BOTH) setActive(next)
    history.replaceState(null, '', next === BOTH ? '/' : `/?as=${encodeURIComponent(next)}`)
  }
  const signedIn = (user: string) => {
    setAdding(false)
    select(wide && here.length > 0 ? BOTH : user)
  }
  return (
    <div className="app">
      <header className="topbar">
        <h1 className="brand">
          <svg width="26" height="26" viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="9" className="brand-ground" />
            <path d="M7 12.500A4.500 4.500 0 0 1 11.500 8h6a4.500 4.500 0 0 1 0 9H13l-4 3.400V16a4.500 4.500 0 0 1-2-3.500Z" className="brand-front" />
            <path d="M25 14.500a4.300 4.300 0 0 1 0 7v3l-3.400-2.500h-4.100a4.200 4.200 0 0 1-3.300-1.600c5.200.9 9.600-1.700 10.800-5.900Z" className="brand-back" />
          </svg>
          Parley
        </h1>
        {here.length > 1 && (
          <Segments
            label="Who you are"
            value={shown.length === 2 ? BOTH : (shown[0] ?? '')}
            onChange={select}
            options={choices.map((v) =>
              v === BOTH
                ? { value: v, name: `${here.slice(0, 2).map(nameOf).join(' and ')}, side by side`, label: <><Icon name="columns" size={16} />Side by side</> }
                : { value: v, label: nameOf(v) },
            )}
          />
        )}
        <div className="topbar-end">
          {demo?.length === 0 && here.length > 0 && <IconButton icon="plus" label="Sign in somebody else" onClick={() => setAdding(true)} />}
          <IconButton icon={theme === 'dark' ? 'sun' : 'moon'} label={theme === 'dark' ? 'Light colours' : 'Dark colours'} onClick={toggleTheme} />
        </div>
      </header>
      <main ref={setMain} className={`panes ${shown.length === 2 ? 'two' : ''}`}>
        <Within value={main}>
          {shown.map((person) => (
            <Pane key={person} session={sessionOf(person)} active={shown.length === 1 || (active ?? shown[0]) === person} onActivate={() => setActive(person)} />
          ))}
        </Within>
        {demo && shown.length === 0 && (
          <section className="pane welcome" aria-labelledby="sign-in">
            <div className="card">
              <h2 id="sign-in">Sign in</h2>
              <SignIn key={view} user={view === BOTH ? undefined : view} onDone={signedIn} />
            </div>
          </section>
        )}
        {!demo && unreachable && (
          <section className="pane welcome" role="status">
            <p>The server does not answer. Trying again…</p>
          </section>
        )}
      </main>
      {adding && (
        <Dialog title="Sign in somebody else" onClose={() => setAdding(false)}>
          <SignIn onDone={signedIn} />
        </Dialog>
      )}
    </div>
  )
}
