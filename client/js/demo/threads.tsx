import { useEffect, useState } from 'react'
import { progressOf, type StoredMessage, type ThreadSummary } from '../src/index.js'
import { useClient } from '../src/react.js'
import { nameOf, otherOf, previewOf, shortTimeOf, titleOf } from './format.js'
import { Icon, Ticks } from './icons.js'
import type { Session } from './session.js'
import { Avatar, IconButton } from './ui.js'

interface Props {
  session: Session
  selected: string | undefined
  onSelect: (id: string) => void
  onNew: () => void
}

export function ThreadList({ session, selected, onSelect, onNew }: Props) {
  const { threads } = useClient(session.client)
  const [query, setQuery] = useState('')
  const found = useSearch(session, query)
  const wanted = query.trim().toLowerCase()
  const listed = threads.filter((t) => !t.left && (!wanted || titleOf(t, session.person).toLowerCase().includes(wanted)))
  return (
    <nav className="threads" aria-label={`Conversations of ${nameOf(session.person)}`}>
      <div className="threads-head">
        <label className="search">
          <Icon name="search" size={16} />
          <input type="search" placeholder="Search" aria-label="Search conversations and messages" value={query} onChange={(e) => setQuery(e.target.value)} />
        </label>
        <IconButton icon="plus" label="New conversation" className="new" onClick={onNew} />
      </div>
      <ul>
        {listed.map((t) => (
          <ThreadItem key={t.id} session={session} thread={t} selected={t.id === selected} onSelect={() => onSelect(t.id)} />
        ))}
        {found.length > 0 && <li className="threads-label">Messages</li>}
        {found.map(({ message, thread }) => (
          <li key={message.id}>
            <button type="button" className="thread" onClick={() => onSelect(thread.id)}>
              <span className="thread-text">
                <span className="thread-top">
                  <span className="thread-title">{titleOf(thread, session.person)}</span>
                  <time>{shortTimeOf(message.created_at)}</time>
                </span>
                <span className="thread-preview">
                  {nameOf(message.sender_id)}: {previewOf(message, session)}
                </span>
              </span>
            </button>
          </li>
        ))}
        {wanted && listed.length === 0 && found.length === 0 && <li className="threads-none">Nothing found</li>}
      </ul>
    </nav>
  )
}

function ThreadItem({ session, thread, selected, onSelect }: { session: Session; thread: ThreadSummary; selected: boolean; onSelect: () => void }) {
  const { presence } = useClient(session.client)
  const other = otherOf(thread, session.person)
  const { newest, unread, typing } = thread
  const own = newest?.sender_id === session.person
  return (
    <li>
      <button type="button" className={`thread ${selected ? 'selected' : ''} ${unread ? 'unread' : ''}`} aria-current={selected || undefined} onClick={onSelect}>
        <Avatar name={other ?? thread.thread.title ?? thread.id} group={!other} online={!!other && presence[other]?.status === 'online'} size={44} />
        <span className="thread-text">
          <span className="thread-top">
            <span className="thread-title">{titleOf(thread, session.person)}</span>
            <time>{shortTimeOf(thread.thread.last_activity_at)}</time>
          </span>
          <span className="thread-bottom">
            {typing.length > 0 ? (
              <span className="thread-preview is-typing">{other ? 'typing…' : `${typing.map(nameOf).join(', ')} typing…`}</span>
            ) : (
              <span className="thread-preview">
                {newest && own && !newest.deleted && <Ticks state={progressOf(newest, thread.participants).state} />}
                {newest ? `${!own && !other ? `${nameOf(newest.sender_id)}: ` : ''}${previewOf(newest, session)}` : 'No messages yet'}
              </span>
            )}
            {unread > 0 && (
              <span className="badge" aria-label={`${unread} unread`}>
                {unread > 99 ? '99+' : unread}
              </span>
            )}
          </span>
        </span>
      </button>
    </li>
  )
}

/** Looks through what the local log has of the newest messages of each thread. */
function useSearch(session: Session, query: string): { message: StoredMessage; thread: ThreadSummary }[] {
  const [found, setFound] = useState<{ message: StoredMessage; thread: ThreadSummary }[]>([])
  useEffect(() => {
    const wanted = query.trim().toLowerCase()
    if (wanted.length < 2) return setFound([])
    let current = true
    void look(session, wanted).then((hits) => current && setFound(hits))
    return () => {
      current = false
    }
  }, [session, query])
  return found
}

async function look(session: Session, wanted: string): Promise<{ message: StoredMessage; thread: ThreadSummary }[]> {
  const hits: { message: StoredMessage; thread: ThreadSummary }[] = []
  for (const thread of session.client.getSnapshot().threads) {
    for (const message of session.client.thread(thread.id).view.getSnapshot().messages) {
      if (message.deleted || message.content_type === 'control') continue
      if ((await session.secrecy.textOf(message)).toLowerCase().includes(wanted)) hits.push({ message, thread })
    }
  }
  return hits.toReversed().slice(0, 20)
}
