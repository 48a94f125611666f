import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { Virtualizer, type VirtualizerHandle } from 'virtua'
import type { Outgoing, StoredMessage, ThreadSummary } from '../src/index.js'
import { useClient, useThread } from '../src/react.js'
import { Composer } from './composer.js'
import { GroupInfo, MessageInfo } from './dialogs.js'
import { agoOf, dayOf, gone, nameOf, otherOf, previewOf, titleOf } from './format.js'
import { Icon } from './icons.js'
import { MessageRow, OutgoingRow } from './message.js'
import type { Session } from './session.js'
import { Avatar, DropdownMenu, IconButton } from './ui.js'

interface Props {
  session: Session
  summary: ThreadSummary
  active: boolean
  onBack: () => void
  onLeft: () => void
}

/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000

export function Chat({ session, summary, active, onBack, onLeft }: Props) {
  const { client } = session
  const thread = useThread(client, summary.id)
  const { presence, state } = useClient(client)
  const { messages, outgoing, pins, participants, typing } = thread
  const [reply, setReply] = useState<StoredMessage>()
  const [editing, setEditing] = useState<StoredMessage>()
  const [info, setInfo] = useState<StoredMessage>()
  const [people, setPeople] = useState(false)
  const [found, setFound] = useState<string>()
  const group = summary.thread.type === 'GROUP'
  const other = otherOf(summary, session.person)

  const scroller = useRef<HTMLDivElement>(null)
  const list = useRef<VirtualizerHandle>(null)
  const atBottom = useRef(true)
  const [away, setAway] = useState(false)
  const [prepending, setPrepending] = useState(false)
  const [firstUnread, setFirstUnread] = useState<string>()
  const byId = useMemo(() => new Map(messages.map((m) => [m.id, m])), [messages])

  const rows = useMemo(() => [...messages, ...outgoing], [messages, outgoing])
  const count = messages.length + outgoing.length
  // Who is at the bottom stays there, whatever grows: messages, reactions, the line of who is typing.
  useEffect(() => {
    const box = scroller.current!
    const observer = new ResizeObserver(() => {
      if (atBottom.current) box.scrollTop = box.scrollHeight
    })
    observer.observe(box)
    for (const part of box.children) observer.observe(part)
    return () => observer.disconnect()
  }, [typing.length > 0])
  useLayoutEffect(() => {
    if (atBottom.current) scroller.current!.scrollTop = scroller.current!.scrollHeight
  }, [count])
  useLayoutEffect(() => setPrepending(false), [messages[0]?.id])

  const loadOlder = useCallback(() => {
    setPrepending(true)
    void session.try(client.thread(summary.id).loadOlder())
  }, [client, session, summary.id])

  const scrolled = () => {
    const box = scroller.current!
    atBottom.current = box.scrollHeight - box.scrollTop - box.clientHeight < 60
    setAway(!atBottom.current)
    if (box.scrollTop < 300 && thread.hasOlder && messages.length > 0) loadOlder()
  }

  // Who looks at the newest messages has read them.
  const newest = messages.at(-1)
  useEffect(() => {
    if (!newest || !active || away || thread.unread === 0) return
    const look = () => {
      if (!document.hidden) void client.read(summary.id, newest.id).catch(() => {})
    }
    const timer = setTimeout(look, 400)
    document.addEventListener('visibilitychange', look)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', look)
    }
  }, [client, summary.id, newest, active, away, thread.unread])

  // Where the unread ones began when the thread was opened, or when one came unseen.
  useEffect(() => {
    if (thread.unread === 0 || active) return
    setFirstUnread((known) => known ?? messages.filter((m) => m.sender_id !== session.person).at(-thread.unread)?.id)
  }, [thread.unread, active, messages, session.person])
  useEffect(() => {
    if (!active || !firstUnread) return
    const timer = setTimeout(() => setFirstUnread(undefined), 8000)
    return () => clearTimeout(timer)
  }, [active, firstUnread])

  const jump = async (id: string) => {
    const log = client.thread(summary.id)
    while (!log.view.getSnapshot().messages.some((m) => m.id === id) && (await log.loadOlder()));
    const index = log.view.getSnapshot().messages.findIndex((m) => m.id === id)
    if (index < 0) return session.toast('That message is not there any more')
    requestAnimationFrame(() => list.current?.scrollToIndex(index, { align: 'center', smooth: true }))
    setFound(id)
    setTimeout(() => setFound(undefined), 1800)
  }

  const subtitle = typing.length > 0
    ? group ? `${typing.map(nameOf).join(', ')} typing…` : 'typing…'
    : state !== 'online'
      ? 'waiting for the connection'
    : other
      ? presence[other]?.status === 'online' ? 'online' : agoOf(presence[other]?.last_seen_at ?? null)
      : participants.map((p) => (p.user_id === session.person ? 'You' : nameOf(p.user_id))).join(', ')

  const lastPin = pins.at(-1)
  const pinned = lastPin && byId.get(lastPin.message_id)
  const title = titleOf(summary, session.person)
  const leave = () => void session.try(client.removeParticipant(summary.id, session.person).then(onLeft))

  return (
    <section className="chat" aria-label={`Conversation with ${title}`}>
      <header className="chat-head">
        <IconButton icon="back" label="Back to conversations" className="back" onClick={onBack} />
        <Avatar name={other ?? summary.thread.title ?? summary.id} group={group} online={!!other && presence[other]?.status === 'online'} size={38} />
        <div className="chat-title">
          <h2>{title}</h2>
          <p className={typing.length > 0 ? 'is-typing' : ''}>{subtitle}</p>
        </div>
        <DropdownMenu
          trigger={<IconButton icon="more" label="Conversation" />}
          entries={[
            group && { label: 'Members and title', icon: 'people', onSelect: () => setPeople(true) },
            { label: 'Mark as read', icon: 'copies', onSelect: () => newest && void session.try(client.read(summary.id, newest.id)) },
            !!other && { label: `Block ${nameOf(other)}`, icon: 'close', danger: true, onSelect: () => void session.try(client.block(other).then(() => session.toast(`${nameOf(other)} is blocked`))) },
            !!other && { label: `Unblock ${nameOf(other)}`, icon: 'people', onSelect: () => void session.try(client.unblock(other).then(() => session.toast(`${nameOf(other)} is not blocked any more`))) },
            group && { label: 'Leave the group', icon: 'back', danger: true, onSelect: leave },
          ]}
        />
      </header>
      {lastPin && (
        <div className="pinned">
          <Icon name="pin" size={16} />
          <button type="button" onClick={() => void jump(lastPin.message_id)}>
            <strong>Pinned{pins.length > 1 ? ` · ${pins.length}` : ''}</strong>
            <span>{pinned ? previewOf(pinned) : 'An older message'}</span>
          </button>
          <IconButton icon="close" label="Unpin" size={16} onClick={() => void session.try(client.unpin(summary.id, lastPin.message_id))} />
        </div>
      )}
      <div className="messages" ref={scroller} onScroll={scrolled} role="log" aria-label="Messages" tabIndex={0}>
        <div className="filler" />
        <Virtualizer ref={list} scrollRef={scroller} shift={prepending} data={rows}>
          {(item: StoredMessage | Outgoing, i: number) => {
            if ('key' in item) return <OutgoingRow key={item.key} session={session} item={item} />
            const message = item
            const before = messages[i - 1]
            const after = messages[i + 1]
            const joined = together(before, message)
            return (
              <div key={message.id}>
                {i === 0 && !thread.hasOlder && (
                  <p className="plain-note">
                    <Icon name="open" size={14} />
                    Not encrypted in this demo: messages are base64, which the server could read.
                  </p>
                )}
                {(!before || dayOf(before.created_at) !== dayOf(message.created_at)) && <p className="day">{dayOf(message.created_at)}</p>}
                {message.id === firstUnread && <p className="new-line">New</p>}
                <MessageRow
                  session={session}
                  message={message}
                  group={group}
                  participants={participants}
                  first={!joined}
                  last={!together(message, after)}
                  repliedTo={message.reply_to_msg_id ? (byId.get(message.reply_to_msg_id) ?? null) : undefined}
                  pinned={pins.some((p) => p.message_id === message.id)}
                  found={found === message.id}
                  onReply={() => {
                    setEditing(undefined)
                    setReply(message)
                  }}
                  onEdit={() => {
                    setReply(undefined)
                    setEditing(message)
                  }}
                  onInfo={() => setInfo(message)}
                  onJump={(id) => void jump(id)}
                />
              </div>
            )
          }}
        </Virtualizer>
        {typing.length > 0 && (
          <div className="row typing-row">
            <span className="bubble typing-bubble" aria-label={`${typing.map(nameOf).join(', ')} typing`}>
              <i /> <i /> <i />
            </span>
          </div>
        )}
      </div>
      {away && (
        <button
          type="button"
          className="to-bottom"
          aria-label="To the newest message"
          onClick={() => list.current?.scrollToIndex(count - 1, { align: 'end', smooth: true })}
        >
          {thread.unread > 0 && <span className="badge">{thread.unread}</span>}
          <Icon name="down" />
        </button>
      )}
      {thread.left ? (
        <p className="left-note">You are not in this conversation any more.</p>
      ) : (
        <Composer
          session={session}
          threadId={summary.id}
          reply={reply}
          editing={editing}
          onDone={() => {
            setReply(undefined)
            setEditing(undefined)
          }}
          onSent={() => {
            atBottom.current = true
            setFirstUnread(undefined)
          }}
          onEditLast={() => setEditing(messages.findLast((m) => m.sender_id === session.person && !gone(m)))}
        />
      )}
      {info && <MessageInfo session={session} message={info} onClose={() => setInfo(undefined)} />}
      {people && <GroupInfo session={session} thread={thread} onClose={() => setPeople(false)} />}
    </section>
  )
}

const together = (a: StoredMessage | undefined, b: StoredMessage | undefined): boolean =>
  !!a && !!b && a.sender_id === b.sender_id && Date.parse(b.created_at) - Date.parse(a.created_at) < TOGETHER_MS && dayOf(a.created_at) === dayOf(b.created_at)
