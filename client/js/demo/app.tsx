import { useEffect, useState } from 'react'
import { nameOf } from './format.js'
import { Icon } from './icons.js'
import { Pane } from './pane.js'
import { PEOPLE, sessionOf, type Person } from './session.js'
import { IconButton } from './ui.js'

type View = 'both' | Person

function initialView(): View {
  const asked = new URLSearchParams(location.search).get('as')
  return PEOPLE.find((p) => p === asked) ?? 'both'
}

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
  const [view, setView] = useState<View>(initialView)
  const [theme, toggleTheme] = useTheme()
  const [active, setActive] = useState<Person>('alice')
  const wide = useWide()
  const shown: Person[] = view !== 'both' ? [view] : wide ? ['alice', 'bob'] : ['alice']
  const select = (next: View) => {
    setView(next)
    if (next !== 'both') setActive(next)
    history.replaceState(null, '', next === 'both' ? '/' : `/?as=${next}`)
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
        <div className="segments" role="radiogroup" aria-label="Who you are">
          {(wide ? (['both', ...PEOPLE] as const) : PEOPLE).map((v) => {
            const on = v === view || (v === shown[0] && shown.length === 1)
            return (
              <button key={v} type="button" role="radio" aria-checked={on} aria-label={v === 'both' ? 'Alice and Bob, side by side' : nameOf(v)} onClick={() => select(v)}>
                {v === 'both' ? (
                  <>
                    <Icon name="columns" size={16} />
                    Side by side
                  </>
                ) : (
                  nameOf(v)
                )}
              </button>
            )
          })}
        </div>
        <IconButton icon={theme === 'dark' ? 'sun' : 'moon'} label={theme === 'dark' ? 'Light colours' : 'Dark colours'} onClick={toggleTheme} />
      </header>
      <main className={`panes ${shown.length === 2 ? 'two' : ''}`}>
        {shown.map((person) => (
          <Pane key={person} session={sessionOf(person)} active={shown.length === 1 || active === person} onActivate={() => setActive(person)} />
        ))}
      </main>
    </div>
  )
}
