import { useEffect, useState } from 'react'
import { useClient, useSnapshot } from '../src/react.js'
import { Chat } from './chat.js'
import { NewChat } from './dialogs.js'
import { nameOf } from './format.js'
import { Icon } from './icons.js'
import { Inspector } from './inspector.js'
import type { Session } from './session.js'
import { ThreadList } from './threads.js'
import { Avatar, DropdownMenu, IconButton } from './ui.js'

const STATES = {
  stopped: 'Offline',
  connecting: 'Connecting…',
  catching_up: 'Catching up…',
  online: 'Connected',
  waiting: 'Trying again…',
  taken_over: 'Open elsewhere',
  removed: 'Device removed',
  refused: 'Refused',
} as const

/** One person's messenger. */
export function Pane({ session, active, onActivate }: { session: Session; active: boolean; onActivate: () => void }) {
  const { client } = session
  const { state, protocol, threads } = useClient(client)
  const offline = useSnapshot(session.network)
  const toasts = useSnapshot(session.toasts)
  const [threadId, setThreadId] = useState<string>()
  const [inspecting, setInspecting] = useState(false)
  const [creating, setCreating] = useState(false)
  const thread = threads.find((t) => t.id === threadId)
  const first = threads[0]?.id

  // Where there is room for both, the newest thread is open from the start.
  useEffect(() => {
    if (!threadId && first && innerWidth >= 700) setThreadId(first)
  }, [threadId, first])

  const name = nameOf(session.person)
  const peer = session.person === 'bob' ? 'alice' : 'bob'
  return (
    <section
      className={`pane ${active ? 'active' : ''} ${thread ? 'in-chat' : ''} ${inspecting ? 'inspecting' : ''}`}
      aria-label={`${name}'s messenger`}
      onPointerEnter={onActivate}
      onPointerDown={onActivate}
      onFocus={onActivate}
    >
      <header className="pane-bar">
        <Avatar name={session.person} size={30} />
        <strong>{name}</strong>
        <span className={`state ${state}`} role="status">
          <span className="state-dot" />
          <span className="state-text">{offline ? 'Airplane mode' : STATES[state]}</span>
        </span>
        <span className="spacer" />
        <div className="protocol" role="radiogroup" aria-label="Protocol">
          {(['json', 'mqtt'] as const).map((p) => (
            <button key={p} type="button" role="radio" aria-checked={p === protocol} onClick={() => p !== protocol && session.use(p)}>
              {p.toUpperCase()}
            </button>
          ))}
        </div>
        <IconButton icon="pulse" label="Inspector" aria-pressed={inspecting} onClick={() => setInspecting(!inspecting)} />
        <DropdownMenu
          trigger={<IconButton icon="more" label="Connection" />}
          entries={[
            { label: offline ? 'Go online' : 'Go offline', icon: 'plane', onSelect: () => session.setOffline(!offline), checked: offline },
            {
              label: 'Go offline for 30 s', icon: 'timer',
              onSelect: () => {
                session.setOffline(true)
                setTimeout(() => session.setOffline(false), 30_000)
              },
            },
            { label: 'Kill my connection', icon: 'bolt', onSelect: () => client.cut() },
            !!thread && {
              label: 'Send 200 messages', icon: 'copies',
              onSelect: () => {
                for (let i = 1; i <= 200; i++) void session.try(session.secrecy.send(thread.id, `Message ${i} of 200`, session.secrecy.of(thread.id).mode))
              },
            },
            { label: 'Open in a tab of its own', icon: 'open', onSelect: () => void open(`/?as=${session.person}`) },
          ]}
        />
      </header>
      {state === 'taken_over' && (
        <div className="notice" role="alert">
          {name} is open in another tab.
          <button type="button" className="text-button" onClick={() => void client.connect()}>
            Use here
          </button>
        </div>
      )}
      <div className="pane-body">
        <ThreadList session={session} selected={threadId} onSelect={setThreadId} onNew={() => setCreating(true)} />
        {thread ? (
          <Chat key={thread.id} session={session} summary={thread} active={active} onBack={() => setThreadId('')} onLeft={() => setThreadId('')} />
        ) : (
          <div className="empty">
            <span className="empty-mark">
              <Icon name="people" size={28} />
            </span>
            <h2>{threads.length === 0 ? `You are ${name}` : 'Choose a conversation'}</h2>
            {threads.length === 0 && (
              <p>
                Each side is a whole client with a device, a log and an outbox of its own. Write here and watch it arrive there. The pulse above
                shows every frame and call.
              </p>
            )}
            {threads.length === 0 && (
              <button type="button" className="primary" onClick={() => void session.try(session.secrecy.createThread('1_TO_1', [peer]).then(setThreadId))}>
                Write to {nameOf(peer)}
              </button>
            )}
            <button type="button" className="secondary" onClick={() => setCreating(true)}>
              New conversation
            </button>
          </div>
        )}
      </div>
      {inspecting && <Inspector session={session} onClose={() => setInspecting(false)} />}
      <div className="toasts" aria-live="polite">
        {toasts.map((toast) => (
          <div key={toast.n} className="toast">
            {toast.text}
          </div>
        ))}
      </div>
      {creating && (
        <NewChat
          session={session}
          onClose={() => setCreating(false)}
          onCreated={(id) => {
            setCreating(false)
            setThreadId(id)
          }}
        />
      )}
    </section>
  )
}
