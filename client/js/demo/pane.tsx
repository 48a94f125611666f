import { useEffect, useRef, useState } from 'react'
import { useClient, useSnapshot } from '../src/react.js'
import { BlockedPeople } from './blocked.js'
import { Chat } from './chat.js'
import { Devices } from './devices.js'
import { NewChat } from './dialogs.js'
import { nameOf } from './format.js'
import { Icon } from './icons.js'
import { Inspector } from './inspector.js'
import { people } from './people.js'
import { forget, type Session } from './session.js'
import { SignIn } from './signin.js'
import { ThreadList } from './threads.js'
import { Avatar, Dialog, DropdownMenu, IconButton, Segments } from './ui.js'

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

type Shown = 'new' | 'devices' | 'blocked' | 'token'

/** One person's messenger. */
export function Pane({ session, active, onActivate }: { session: Session; active: boolean; onActivate: () => void }) {
  const { client, person } = session
  const { state, protocol, threads } = useClient(client)
  const offline = useSnapshot(session.network)
  const toasts = useSnapshot(session.toasts)
  const { wanting, demo, here } = useSnapshot(people.view)
  const [threadId, setThreadId] = useState<string>()
  const [target, setTarget] = useState<{ id: string }>()
  const [inspecting, setInspecting] = useState(false)
  const [dialog, setDialog] = useState<Shown>()
  const pane = useRef<HTMLElement>(null)
  const thread = threads.find((t) => t.id === threadId)
  const first = threads.find((t) => t.thread.me.accepted && !t.thread.me.archived)?.id ?? threads.find((t) => !t.thread.me.archived)?.id
  const why = wanting[person]

  // Where there is room for both, the newest thread is open from the start.
  useEffect(() => {
    if (threadId === undefined && first && (pane.current?.clientWidth ?? 0) >= 560) setThreadId(first)
  }, [threadId, first])

  const show = (id: string, message?: string) => {
    setThreadId(id)
    setTarget(message ? { id: message } : undefined)
  }
  const startOver = async () => {
    await forget(person)
    location.reload()
  }
  const signOut = async () => {
    people.remove(person)
    await forget(person)
    location.assign('/')
  }
  const close = () => setDialog(undefined)
  const name = nameOf(person)
  const peer = here.find((user) => user !== person)
  const pasted = demo !== undefined && !demo.includes(person)
  return (
    <section
      ref={pane}
      className={`pane ${active ? 'active' : ''} ${thread ? 'in-chat' : ''} ${inspecting ? 'inspecting' : ''}`}
      aria-label={`${name}'s messenger`}
      onPointerEnter={onActivate}
      onPointerDown={onActivate}
      onFocus={onActivate}
    >
      <header className="pane-bar">
        <DropdownMenu
          align="start"
          trigger={
            <button type="button" className="account">
              <Avatar name={person} size={30} />
              <strong>{name}</strong>
              <span className="unseen">: account</span>
              <Icon name="down" size={14} />
            </button>
          }
          entries={[
            { label: 'Devices', icon: 'device', onSelect: () => setDialog('devices') },
            { label: 'Blocked people', icon: 'block', onSelect: () => setDialog('blocked') },
            { label: 'Open in a tab of its own', icon: 'tab', onSelect: () => void open(`/?as=${encodeURIComponent(person)}`) },
            pasted && { label: 'Another token', icon: 'key', onSelect: () => setDialog('token') },
            pasted && { label: 'Sign out', icon: 'leave', danger: true, onSelect: () => void signOut() },
          ]}
        />
        <span className={`state ${why ? 'waiting' : state}`} role="status">
          <span className="state-dot" />
          <span className="state-text">{offline ? 'Airplane mode' : why ? 'No token' : STATES[state]}</span>
        </span>
        <span className="spacer" />
        <Segments
          className="protocol"
          label="Protocol"
          value={protocol}
          onChange={(p) => p !== protocol && session.use(p)}
          options={[{ value: 'json', label: 'JSON' }, { value: 'mqtt', label: 'MQTT' }]}
        />
        <IconButton icon="pulse" label="Inspector" aria-pressed={inspecting} onClick={() => setInspecting(!inspecting)} />
        <DropdownMenu
          trigger={<IconButton icon="more" label="Connection" />}
          entries={[
            { label: offline ? 'Go online' : 'Go offline', icon: 'plane', onSelect: () => session.setOffline(!offline) },
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
          ]}
        />
      </header>
      {why && (
        <Notice text={`${why} ${name} is offline until there is another.`} action="Paste a token" onAction={() => setDialog('token')} />
      )}
      {state === 'taken_over' && <Notice text={`${name} is open in another tab.`} action="Use here" onAction={() => void client.connect()} />}
      {state === 'removed' && (
        <Notice text="This device was removed from another one. What it holds is no longer kept up to date." action="Start as a new device" onAction={() => void startOver()} />
      )}
      {state === 'refused' && <Notice text="The server has ended the connection, and says that this page is at fault." action="Connect again" onAction={() => void client.connect()} />}
      <div className="pane-body">
        <ThreadList session={session} selected={threadId} onSelect={show} onNew={() => setDialog('new')} />
        {thread ? (
          <Chat key={thread.id} session={session} summary={thread} active={active} target={target} onBack={() => setThreadId('')} onLeft={() => setThreadId('')} />
        ) : (
          <div className="empty">
            <span className="empty-mark">
              <Icon name="people" size={28} />
            </span>
            <h2>{threads.length === 0 ? `You are ${name}` : 'Choose a conversation'}</h2>
            {threads.length === 0 && (
              <p>
                {peer
                  ? 'Each side is a whole client with a device, a log and an outbox of its own. Write here and watch it arrive there.'
                  : 'This is a whole client with a device, a log and an outbox of its own.'}{' '}
                The pulse above shows every frame and call.
              </p>
            )}
            {threads.length === 0 && peer && (
              <button type="button" className="primary" onClick={() => void session.try(session.secrecy.createThread('1_TO_1', [peer]).then(setThreadId))}>
                Write to {nameOf(peer)}
              </button>
            )}
            <button type="button" className="secondary" onClick={() => setDialog('new')}>
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
      {dialog === 'new' && (
        <NewChat
          session={session}
          onClose={close}
          onCreated={(id) => {
            close()
            show(id)
          }}
        />
      )}
      {dialog === 'devices' && <Devices session={session} onClose={close} />}
      {dialog === 'blocked' && <BlockedPeople session={session} onClose={close} />}
      {dialog === 'token' && (
        <Dialog title={`A token of ${name}`} onClose={close}>
          <SignIn user={person} why={why} onDone={close} />
        </Dialog>
      )}
    </section>
  )
}

function Notice({ text, action, onAction }: { text: string; action: string; onAction: () => void }) {
  return (
    <div className="notice" role="alert">
      <span>{text}</span>
      <button type="button" className="text-button" onClick={onAction}>
        {action}
      </button>
    </div>
  )
}
