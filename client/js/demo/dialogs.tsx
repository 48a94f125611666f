import { useEffect, useState } from 'react'
import type { Receipts, StoredMessage, ThreadSnapshot } from '../src/index.js'
import { useClient, useSnapshot } from '../src/react.js'
import { fullTimeOf, nameOf } from './format.js'
import { Ticks } from './icons.js'
import { people } from './people.js'
import { Said } from './said.js'
import type { Session } from './session.js'
import { Avatar, Dialog, DropdownMenu, IconButton } from './ui.js'

/** Choosing whom to talk with: one person is a conversation, several are a group. */
export function NewChat({ session, onClose, onCreated }: { session: Session; onClose: () => void; onCreated: (id: string) => void }) {
  const [chosen, setChosen] = useState<string[]>([])
  const [title, setTitle] = useState('')
  const [other, setOther] = useState('')
  const [creating, setCreating] = useState(false)
  const { demo = [], here } = useSnapshot(people.view)
  const { threads } = useClient(session.client)
  const met = threads.flatMap((t) => t.participants.map((p) => p.user_id))
  const known = [...new Set([...demo, ...here, ...met, ...chosen])].filter((p) => p !== session.person)
  const toggle = (name: string) => setChosen(chosen.includes(name) ? chosen.filter((c) => c !== name) : [...chosen, name])
  const add = () => {
    const name = other.trim().toLowerCase()
    if (name && name !== session.person && !chosen.includes(name)) setChosen([...chosen, name])
    setOther('')
  }
  const create = async () => {
    setCreating(true)
    await session.try(session.secrecy.createThread(chosen.length === 1 && !title ? '1_TO_1' : 'GROUP', chosen, title || undefined).then(onCreated))
    setCreating(false)
  }
  return (
    <Dialog title="New conversation" onClose={onClose}>
      <ul className="people">
        {known.map((name) => (
          <li key={name}>
            <label>
              <Avatar name={name} size={36} />
              <span>{nameOf(name)}</span>
              <input type="checkbox" checked={chosen.includes(name)} onChange={() => toggle(name)} />
            </label>
          </li>
        ))}
      </ul>
      <form
        className="field-line"
        onSubmit={(event) => {
          event.preventDefault()
          add()
        }}
      >
        <input className="field" placeholder="Somebody else's user id" aria-label="User id" value={other} onChange={(e) => setOther(e.target.value)} />
        <button type="submit" className="secondary" disabled={!other.trim()}>
          Add
        </button>
      </form>
      {chosen.length > 1 && (
        <input className="field" placeholder="Name of the group" aria-label="Name of the group" maxLength={256} value={title} onChange={(e) => setTitle(e.target.value)} />
      )}
      <button type="button" className="primary wide" disabled={chosen.length === 0 || creating} onClick={() => void create()}>
        {creating ? 'Creating…' : chosen.length > 1 ? 'Create the group' : 'Start'}
      </button>
    </Dialog>
  )
}

/** Who has got a message and read it, and when. */
export function MessageInfo({ session, message, onClose }: { session: Session; message: StoredMessage; onClose: () => void }) {
  const [receipts, setReceipts] = useState<Receipts>()
  useEffect(() => {
    void session.try(session.client.receipts(message.id).then(setReceipts))
  }, [session, message])
  return (
    <Dialog title="Message details" onClose={onClose}>
      <blockquote className="quoted">
        <Said session={session} message={message} />
      </blockquote>
      <p className="facts">
        Sent {fullTimeOf(message.created_at)} by {nameOf(message.sender_id)}
        {message.edited_at && `, edited ${fullTimeOf(message.edited_at)}`}. Number {message.seq} of its thread.
      </p>
      {receipts && (
        <p className="facts">
          Read by {receipts.summary.read} of {receipts.states.length}
        </p>
      )}
      <ul className="people">
        {receipts?.states.map((r) => (
          <li key={r.recipient_id} className="receipt">
            <Avatar name={r.recipient_id} size={36} />
            <div>
              <span>{nameOf(r.recipient_id)}</span>
              <small>
                {r.read_at ? `Read ${fullTimeOf(r.read_at)}` : r.delivered_at ? `Delivered ${fullTimeOf(r.delivered_at)}` : r.state === 'FAILED' ? `Failed: ${r.reason}` : 'Not delivered yet'}
              </small>
            </div>
            <Ticks state={r.state.toLowerCase() as 'sent'} />
          </li>
        ))}
      </ul>
    </Dialog>
  )
}

/** The members of a group, what they may, and its title. */
export function GroupInfo({ session, thread, onClose }: { session: Session; thread: ThreadSnapshot; onClose: () => void }) {
  const { client, person } = session
  const [title, setTitle] = useState(thread.thread?.title ?? '')
  const [added, setAdded] = useState('')
  const admin = thread.participants.some((p) => p.user_id === person && p.role === 'admin')
  return (
    <Dialog title="Group" onClose={onClose}>
      {admin && (
        <form
          className="field-line"
          onSubmit={(event) => {
            event.preventDefault()
            void session.try(client.setTitle(thread.id, title.trim() || null))
          }}
        >
          <input className="field" aria-label="Name of the group" placeholder="Name of the group" maxLength={256} value={title} onChange={(e) => setTitle(e.target.value)} />
          <button type="submit" className="secondary">
            Save
          </button>
        </form>
      )}
      <ul className="people">
        {thread.participants.map((p) => (
          <li key={p.user_id} className="receipt">
            <Avatar name={p.user_id} size={36} />
            <div>
              <span>{p.user_id === person ? 'You' : nameOf(p.user_id)}</span>
              <small>{p.role === 'admin' ? 'Admin' : 'Member'}</small>
            </div>
            {admin && p.user_id !== person && (
              <DropdownMenu
                trigger={<IconButton icon="more" label={`${nameOf(p.user_id)}: change`} />}
                entries={[
                  {
                    label: p.role === 'admin' ? 'Make a member' : 'Make an admin', icon: 'people',
                    onSelect: () => void session.try(client.setRole(thread.id, p.user_id, p.role === 'admin' ? 'member' : 'admin')),
                  },
                  { label: 'Remove', icon: 'trash', danger: true, onSelect: () => void session.try(session.secrecy.remove(thread.id, p.user_id)) },
                ]}
              />
            )}
          </li>
        ))}
      </ul>
      <form
        className="field-line"
        onSubmit={(event) => {
          event.preventDefault()
          void session.try(session.secrecy.add(thread.id, added.trim().toLowerCase())).then(() => setAdded(''))
        }}
      >
        <input className="field" placeholder="Add somebody: a user id, as carol" aria-label="User id to add" value={added} onChange={(e) => setAdded(e.target.value)} />
        <button type="submit" className="secondary" disabled={!added.trim()}>
          Add
        </button>
      </form>
    </Dialog>
  )
}
