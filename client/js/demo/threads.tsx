import { useEffect, useState } from 'react'
import { progressOf, type ThreadSummary } from '../src/index.js'
import { useClient } from '../src/react.js'
import { nameOf, otherOf, shortTimeOf, titleOf } from './format.js'
import { Icon, Ticks } from './icons.js'
import { isMuted, isUnread, ownEntries, PLACES, placeOf, type Place } from './own.js'
import { Exposed, Said } from './said.js'
import { useSearch, type Hit } from './search.js'
import type { Session } from './session.js'
import { Avatar, DropdownMenu, IconButton, Segments } from './ui.js'

interface Props {
  session: Session
  selected: string | undefined
  onSelect: (id: string, message?: string) => void
  onNew: () => void
}

const NAMES: Record<Place, string> = { inbox: 'Inbox', requests: 'Requests', archived: 'Archived' }
const NOTHING: Record<Place, string> = {
  inbox: 'No conversations yet.',
  requests: 'When somebody writes whom you have never answered, it waits here until you accept it.',
  archived: 'Put away what is done. It comes back when somebody writes, unless you muted it.',
}

export function ThreadList({ session, selected, onSelect, onNew }: Props) {
  const { threads, state } = useClient(session.client)
  const [place, setPlace] = useState<Place>('inbox')
  const [query, setQuery] = useState('')
  const hits = useSearch(session, query)
  const wanted = query.trim().toLowerCase()
  const here = threads.filter((t) => !t.left)
  useMuteEnds(here)
  const open = here.find((t) => t.id === selected)
  const openPlace = open && placeOf(open)
  // What is opened from elsewhere, or moves, is followed.
  useEffect(() => {
    if (openPlace) setPlace(openPlace)
  }, [selected, openPlace])

  const listed = here
    .filter((t) => (wanted ? titleOf(t, session.person).toLowerCase().includes(wanted) : placeOf(t) === place))
    .sort((a, b) => Number(b.thread.me.pinned) - Number(a.thread.me.pinned))
  const counts: Record<Place, number> = {
    inbox: here.filter((t) => placeOf(t) === 'inbox' && isUnread(t) && !isMuted(t)).length,
    requests: here.filter((t) => placeOf(t) === 'requests').length,
    archived: 0,
  }
  const item = (t: ThreadSummary) => (
    <ThreadItem
      key={t.id}
      session={session}
      thread={t}
      selected={t.id === selected}
      onSelect={() => {
        if (t.thread.me.marked_unread) void session.try(session.client.setMe(t.id, { marked_unread: false }))
        onSelect(t.id)
      }}
    />
  )
  return (
    <nav className="threads" aria-label={`Conversations of ${nameOf(session.person)}`}>
      <div className="threads-head">
        <label className="search">
          <Icon name="search" size={16} />
          <input type="search" placeholder="Search" aria-label="Search conversations and messages" value={query} onChange={(e) => setQuery(e.target.value)} />
          {query && <IconButton icon="close" label="Clear the search" size={14} onClick={() => setQuery('')} />}
        </label>
        <IconButton icon="plus" label="New conversation" className="new" onClick={onNew} />
      </div>
      {!wanted && (
        <Segments
          className="places"
          label="Which conversations"
          value={place}
          onChange={setPlace}
          options={PLACES.map((p) => ({
            value: p,
            label: (
              <>
                <Icon name="archive" size={16} />
                <span>{NAMES[p]}</span>{' '}
                {counts[p] > 0 && (
                  <b>
                    {counts[p]} <span className="unseen">{p === 'inbox' ? 'unread' : 'waiting'}</span>
                  </b>
                )}
              </>
            ),
          }))}
        />
      )}
      <ul>
        {listed.map(item)}
        {!wanted && listed.length === 0 && (
          <li className="threads-none">
            {here.length === 0 && (state === 'connecting' || state === 'catching_up') ? 'Reading your conversations…' : NOTHING[place]}
            {place === 'inbox' && counts.requests > 0 && (
              <button type="button" className="text-button" onClick={() => setPlace('requests')}>
                {counts.requests === 1 ? '1 request waits' : `${counts.requests} requests wait`}
              </button>
            )}
            {place === 'inbox' && here.length === 0 && (
              <button type="button" className="secondary begin" onClick={onNew}>
                Start one
              </button>
            )}
          </li>
        )}
        {hits && hits.length > 0 && <li className="threads-label">Messages</li>}
        {hits?.map((hit) => (
          <Found key={hit.message.id} session={session} hit={hit} onSelect={() => onSelect(hit.thread.id, hit.message.id)} />
        ))}
        {wanted && listed.length === 0 && hits?.length === 0 && <li className="threads-none">Nothing found on this device.</li>}
        {wanted.length === 1 && listed.length === 0 && <li className="threads-none">Messages are searched from two letters on.</li>}
      </ul>
      <p className="unseen" role="status">
        {hits && `${hits.length} messages found`}
      </p>
    </nav>
  )
}

function Found({ session, hit, onSelect }: { session: Session; hit: Hit; onSelect: () => void }) {
  const { message, thread } = hit
  return (
    <li>
      <button type="button" className="thread found-message" onClick={onSelect}>
        <span className="thread-text">
          <span className="thread-top">
            <span className="thread-title">{titleOf(thread, session.person)}</span>
            <time>{shortTimeOf(message.created_at)}</time>
          </span>
          <span className="thread-preview">
            {message.sender_id === session.person ? 'You' : nameOf(message.sender_id)}: <Exposed session={session} message={message} short />
            {hit.before}
            <mark>{hit.found}</mark>
            {hit.after}
          </span>
        </span>
      </button>
    </li>
  )
}

function ThreadItem({ session, thread, selected, onSelect }: { session: Session; thread: ThreadSummary; selected: boolean; onSelect: () => void }) {
  const { presence, state } = useClient(session.client)
  const [menu, setMenu] = useState(false)
  const other = otherOf(thread, session.person)
  const { newest, unread, typing } = thread
  const { me } = thread.thread
  const own = newest?.sender_id === session.person
  const waiting = session.secrecy.waiting.of(thread.id).at(-1)
  const muted = isMuted(thread)
  const title = titleOf(thread, session.person)
  return (
    <li
      className={`thread-item ${selected ? 'selected' : ''} ${menu ? 'menu-open' : ''}`}
      onContextMenu={(event) => {
        event.preventDefault()
        setMenu(true)
      }}
    >
      <button type="button" className={`thread ${selected ? 'selected' : ''} ${isUnread(thread) ? 'unread' : ''}`} aria-current={selected || undefined} onClick={onSelect}>
        <Avatar name={other ?? thread.thread.title ?? thread.id} group={!other} online={!!other && state === 'online' && presence[other]?.status === 'online'} size={44} />
        <span className="thread-text">
          <span className="thread-top">
            <span className="thread-title">{title}</span>
            {muted && <Mark icon="mute" label="muted" />}
            <time>{shortTimeOf(thread.thread.last_activity_at)}</time>
          </span>
          <span className="thread-bottom">
            {typing.length > 0 ? (
              <span className="thread-preview is-typing">{other ? 'typing…' : `${typing.map(nameOf).join(', ')} typing…`}</span>
            ) : waiting ? (
              <span className="thread-preview">
                <Icon name="lock" size={13} />
                {waiting.text}
              </span>
            ) : (
              <span className="thread-preview">
                {newest && own && !newest.deleted && <Ticks state={progressOf(newest, thread.participants).state} />}
                {newest && !own && !other && `${nameOf(newest.sender_id)}: `}
                {newest ? <Said session={session} message={newest} /> : 'No messages yet'}
              </span>
            )}
            {me.pinned && <Mark icon="pin" label="pinned to the top" />}
            {unread > 0 && (
              <span className={`badge ${muted ? 'quiet' : ''}`} role="img" aria-label={`${unread} unread`}>
                {unread > 99 ? '99+' : unread}
              </span>
            )}
            {unread === 0 && me.marked_unread && <span className={`badge dot ${muted ? 'quiet' : ''}`} role="img" aria-label="marked as unread" />}
          </span>
        </span>
      </button>
      <DropdownMenu
        open={menu}
        onOpenChange={setMenu}
        trigger={<IconButton icon="more" label={`${title}: more`} size={18} className="thread-more" />}
        entries={ownEntries(session, thread)}
      />
    </li>
  )
}

/** Renders again when somebody is muted no longer. */
function useMuteEnds(threads: readonly ThreadSummary[]): void {
  const [, again] = useState(0)
  const next = Math.min(...threads.filter(isMuted).map((t) => Date.parse(t.thread.me.muted_until!)))
  useEffect(() => {
    const wait = next - Date.now()
    if (wait > 2 ** 31) return // a timer takes no more, and nobody waits for it
    const timer = setTimeout(() => again((n) => n + 1), wait + 10)
    return () => clearTimeout(timer)
  }, [next])
}

const Mark = ({ icon, label }: { icon: 'mute' | 'pin'; label: string }) => (
  <span className="thread-mark" role="img" aria-label={label}>
    <Icon name={icon} size={14} />
  </span>
)
