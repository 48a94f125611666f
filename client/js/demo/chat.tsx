import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { Virtualizer, type VirtualizerHandle } from 'virtua'
import type { Outgoing, StoredMessage, ThreadSummary } from '../src/index.js'
import { useClient, useSnapshot, useThread } from '../src/react.js'
import { blockedOf, useBlocks } from './blocked.js'
import { Composer } from './composer.js'
import { GroupInfo, MessageInfo } from './dialogs.js'
import { agoOf, dayOf, gone, nameOf, otherOf, previewOf, titleOf } from './format.js'
import { Icon } from './icons.js'
import { MessageRow, OutgoingRow, WaitingRow } from './message.js'
import { SecrecyNotice } from './notice.js'
import { ownEntries } from './own.js'
import { Report } from './report.js'
import { BlockedBar, RequestBar } from './request.js'
import { Exposed } from './said.js'
import type { Secret } from './secrecy.js'
import type { Session } from './session.js'
import { Avatar, DropdownMenu, IconButton } from './ui.js'
import { Verify } from './verify.js'
import type { Waiting } from './waiting.js'

interface Props {
  session: Session
  summary: ThreadSummary
  active: boolean
  target: { id: string } | undefined // a message to show
  onBack: () => void
  onLeft: () => void
}

/** Messages of one person within this time stand together. */
const TOGETHER_MS = 5 * 60_000
/** When it is looked whether somebody who could not read can: less and less often. */
const TEND_MS = [2000, 30_000] as const

export function Chat({ session, summary, active, target, onBack, onLeft }: Props) {
  const { client } = session
  const thread = useThread(client, summary.id)
  const { presence, state } = useClient(client)
  const { outgoing, pins, participants, typing } = thread
  const messages = useMemo(() => thread.messages.filter(forPeople), [thread.messages])
  useSnapshot(session.secrecy.view)
  const secret = session.secrecy.of(summary.id)
  const [reply, setReply] = useState<StoredMessage>()
  const [editing, setEditing] = useState<StoredMessage>()
  const [info, setInfo] = useState<StoredMessage>()
  const [reported, setReported] = useState<StoredMessage>()
  const [people, setPeople] = useState(false)
  const [verifying, setVerifying] = useState(false)
  const [takenBack, setTakenBack] = useState<Waiting>()
  const [found, setFound] = useState<string>()
  const group = summary.thread.type === 'GROUP'
  const other = otherOf(summary, session.person)
  const { accepted } = summary.thread.me
  const blocked = useBlocks(session).some((b) => b.user_id === other)

  const scroller = useRef<HTMLDivElement>(null)
  const list = useRef<VirtualizerHandle>(null)
  const atBottom = useRef(true)
  const [away, setAway] = useState(false)
  const [prepending, setPrepending] = useState(false)
  const [firstUnread, setFirstUnread] = useState<string>()
  const byId = useMemo(() => new Map(messages.map((m) => [m.id, m])), [messages])

  const asked = session.secrecy.resending.of(summary.id).waiting
  const lost = secret.mode === 'encrypted' && accepted && !thread.left ? messages.filter((m) => !gone(m) && session.secrecy.contentOf(m).lost) : []
  const ask = (ids: string[]) => void session.try(session.secrecy.askAgain(summary.id, ids))

  const waiting = session.secrecy.waiting.of(summary.id)
  const rows = useMemo(() => [...messages, ...outgoing, ...waiting], [messages, outgoing, waiting])
  const count = rows.length
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
  useLayoutEffect(() => setPrepending(false), [thread.messages[0]?.id])

  const loadOlder = useCallback(() => {
    setPrepending(true)
    void session.try(client.thread(summary.id).loadOlder())
  }, [client, session, summary.id])

  // While somebody cannot read, or this device cannot, it is looked after.
  useTended(session, summary.id, secret, state === 'online' && accepted)

  const scrolled = () => {
    const box = scroller.current!
    atBottom.current = box.scrollHeight - box.scrollTop - box.clientHeight < 60
    setAway(!atBottom.current)
    if (box.scrollTop < 300 && thread.hasOlder && thread.messages.length > 0) loadOlder()
  }

  // Who looks at the newest messages has read them.
  const newest = messages.at(-1)
  useEffect(() => {
    if (!newest || !active || away || thread.unread === 0 || !accepted || thread.left) return
    const look = () => {
      if (!document.hidden) void client.read(summary.id, newest.id).catch(() => {})
    }
    const timer = setTimeout(look, 400)
    document.addEventListener('visibilitychange', look)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', look)
    }
  }, [client, summary.id, newest, active, away, thread.unread, accepted, thread.left])

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

  // What is near is scrolled to; to what is far it goes at once.
  const scrollTo = (index: number, align: 'center' | 'end') => {
    const from = list.current?.findItemIndex(list.current.scrollOffset) ?? 0
    const smooth = Math.abs(from - index) < 60 && !matchMedia('(prefers-reduced-motion: reduce)').matches
    list.current?.scrollToIndex(index, { align, smooth })
  }
  const jump = async (id: string) => {
    const log = client.thread(summary.id)
    while (!log.view.getSnapshot().messages.some((m) => m.id === id) && (await log.loadOlder()));
    const index = log.view.getSnapshot().messages.filter(forPeople).findIndex((m) => m.id === id)
    if (index < 0) return session.toast('That message is not there any more')
    atBottom.current = false
    requestAnimationFrame(() => scrollTo(index, 'center'))
    setFound(id)
  }

  useEffect(() => {
    if (target) void session.try(jump(target.id))
  }, [target])

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
  const leave = () => void session.try(session.secrecy.remove(summary.id, session.person).then(onLeft))

  return (
    <section className="chat" aria-label={`${nameOf(session.person)}: conversation with ${title}`}>
      <header className="chat-head">
        <IconButton icon="back" label="Back to conversations" className="back" onClick={onBack} />
        <Avatar name={other ?? summary.thread.title ?? summary.id} group={group} online={!!other && state === 'online' && presence[other]?.status === 'online'} size={38} />
        <div className="chat-title">
          <div className="chat-name">
            <h2>{title}</h2>
            <Lock secret={secret} onClick={() => setVerifying(true)} />
          </div>
          <p className={typing.length > 0 ? 'is-typing' : ''}>{subtitle}</p>
        </div>
        <DropdownMenu
          trigger={<IconButton icon="more" label="Conversation" />}
          entries={[
            group && { label: 'Members and title', icon: 'people', onSelect: () => setPeople(true) },
            { label: 'Verify encryption', icon: 'lock', onSelect: () => setVerifying(true) },
            ...ownEntries(session, summary),
            !!other && blocked && { label: `Unblock ${nameOf(other)}`, icon: 'block', onSelect: () => void blockedOf(session).unblock(other) },
            !!other && !blocked && { label: `Block ${nameOf(other)}`, icon: 'block', danger: true, onSelect: () => void blockedOf(session).block(other) },
            group && { label: 'Leave the group', icon: 'leave', danger: true, onSelect: leave },
          ]}
        />
      </header>
      {lastPin && (
        <div className="pinned">
          <Icon name="pin" size={16} />
          <button type="button" onClick={() => void jump(lastPin.message_id)}>
            <strong>
              Pinned{pins.length > 1 ? ` · ${pins.length}` : ''}
              {pinned && <Exposed session={session} message={pinned} />}
            </strong>
            <span>{pinned ? previewOf(pinned, session) : 'An older message'}</span>
          </button>
          <IconButton icon="close" label="Unpin" size={16} onClick={() => void session.try(client.unpin(summary.id, lastPin.message_id))} />
        </div>
      )}
      {lost.length > 0 && <LostBar open={lost.filter((m) => !asked.has(m.id)).map((m) => m.id)} of={lost.length} onAsk={ask} />}
      <div className="messages" ref={scroller} onScroll={scrolled} role="log" aria-label="Messages" tabIndex={0}>
        <div className="filler" />
        <Virtualizer ref={list} scrollRef={scroller} shift={prepending} data={rows}>
          {(item: StoredMessage | Outgoing | Waiting, i: number) => {
            if ('key' in item) return <OutgoingRow key={item.key} session={session} item={item} />
            if ('once' in item) {
              return (
                <WaitingRow
                  key={item.once.key}
                  item={item}
                  onTakeBack={() => {
                    session.secrecy.waiting.remove(summary.id, item)
                    setTakenBack(item)
                  }}
                />
              )
            }
            const message = item
            const before = messages[i - 1]
            const after = messages[i + 1]
            const joined = together(before, message)
            const content = session.secrecy.contentOf(message)
            return (
              <div key={message.id}>
                {i === 0 && !thread.hasOlder && secret.mode === 'encrypted' && (
                  <p className="sealed-note">
                    <Icon name="lock" size={14} />
                    <span>
                      Encrypted end to end: the server cannot read it, but sees who writes, when and how much.{' '}
                      <button type="button" className="text-button" onClick={() => setVerifying(true)}>
                        What to know
                      </button>
                    </span>
                  </p>
                )}
                {(!before || dayOf(before.created_at) !== dayOf(message.created_at)) && <p className="day">{dayOf(message.created_at)}</p>}
                {message.id === firstUnread && <p className="new-line">New</p>}
                <MessageRow
                  session={session}
                  message={message}
                  kind={content.kind}
                  text={previewOf(message, session)}
                  again={!!content.again}
                  lost={content.lost && !gone(message) && secret.mode === 'encrypted' ? (asked.has(message.id) ? 'asked' : 'open') : undefined}
                  exposed={!gone(message) && session.secrecy.isExposed(message)}
                  group={group}
                  participants={participants}
                  first={!joined}
                  last={!together(message, after)}
                  repliedTo={message.reply_to_msg_id ? (byId.get(message.reply_to_msg_id) ?? null) : undefined}
                  pinned={pins.some((p) => p.message_id === message.id)}
                  found={found === message.id}
                  readOnly={!accepted || blocked || thread.left}
                  onReply={() => {
                    setEditing(undefined)
                    setReply(message)
                  }}
                  onEdit={() => {
                    setReply(undefined)
                    setEditing(message)
                  }}
                  onFound={() => setFound(undefined)}
                  onInfo={() => setInfo(message)}
                  onReport={() => setReported(message)}
                  onJump={(id) => void jump(id)}
                  onAsk={() => ask([message.id])}
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
          onClick={() => scrollTo(count - 1, 'end')}
        >
          {thread.unread > 0 && <span className="badge">{thread.unread}</span>}
          <Icon name="down" />
        </button>
      )}
      {thread.left ? (
        <p className="left-note">You are not in this conversation any more.</p>
      ) : other && blocked ? (
        <BlockedBar session={session} user={other} />
      ) : !accepted ? (
        <RequestBar session={session} summary={summary} onGone={onLeft} />
      ) : (
        <>
        <SecrecyNotice session={session} threadId={summary.id} secret={secret} others={participants.length - 1} onVerify={() => setVerifying(true)} />
        <Composer
          session={session}
          threadId={summary.id}
          secret={secret}
          reply={reply}
          editing={editing}
          takenBack={takenBack}
          onDone={() => {
            setReply(undefined)
            setEditing(undefined)
          }}
          onSent={() => {
            if (newest && thread.unread > 0) void client.read(summary.id, newest.id).catch(() => {})
            atBottom.current = true
            setFirstUnread(undefined)
          }}
          onEditLast={() => setEditing(messages.findLast((m) => m.sender_id === session.person && !gone(m) && ['text', 'plain'].includes(session.secrecy.contentOf(m).kind)))}
        />
        </>
      )}
      {info && <MessageInfo session={session} message={info} onClose={() => setInfo(undefined)} />}
      {verifying && <Verify session={session} thread={thread} onClose={() => setVerifying(false)} />}
      {reported && <Report session={session} message={reported} onClose={() => setReported(undefined)} />}
      {people && <GroupInfo session={session} thread={thread} onClose={() => setPeople(false)} />}
    </section>
  )
}

const forPeople = (message: StoredMessage): boolean => message.content_type !== 'control'

/** Whether the conversation is encrypted, in its head. */
function Lock({ secret, onClick }: { secret: Secret; onClick: () => void }) {
  if (secret.mode === 'opening') return null
  const on = secret.mode !== 'plain' && !(secret.mode === 'unavailable' && secret.mayBePlain)
  const label = secret.mode === 'encrypted' ? 'Encrypted' : on ? 'To be encrypted' : 'Not encrypted'
  return (
    <button type="button" className={`lock ${!on ? 'off' : secret.mode === 'encrypted' ? '' : 'pending'}`} aria-label={`${label}. Details`} title={label} onClick={onClick}>
      <Icon name={on ? 'lock' : 'unlock'} size={14} />
      {!on && <span>{label}</span>}
    </button>
  )
}

/** Above the messages: how many of them cannot be read on this device, and that others can be asked for them. */
function LostBar({ open, of, onAsk }: { open: string[]; of: number; onAsk: (ids: string[]) => void }) {
  const count = (n: number) => `${n} ${n === 1 ? 'message' : 'messages'}`
  return (
    <div className="lost-bar" role="status">
      <Icon name="lock" size={16} />
      {open.length > 0 ? (
        <>
          <p>{count(open.length)} cannot be read on this device.</p>
          <button type="button" className="text-button" onClick={() => onAsk(open)}>
            Ask for {open.length === 1 ? 'it' : 'them'}
          </button>
        </>
      ) : (
        <p>Asked for {count(of)}. {of === 1 ? 'It comes' : 'They come'} when somebody who can read {of === 1 ? 'it' : 'them'} agrees.</p>
      )}
    </div>
  )
}

/** Looks after the encryption of a conversation that is shown, while somebody in it cannot read, or this device cannot. */
function useTended({ secrecy }: Session, threadId: string, { mode, without }: Secret, online: boolean): void {
  useEffect(() => secrecy.refresh(threadId), [secrecy, threadId])
  const open = online && (mode === 'outside' || (without.length > 0 && mode !== 'unavailable'))
  useEffect(() => {
    if (!open) return
    let wait: number = TEND_MS[0]
    let timer = setTimeout(function look() {
      void secrecy.tend(threadId)
      wait = Math.min(wait * 1.5, TEND_MS[1])
      timer = setTimeout(look, wait)
    }, wait)
    return () => clearTimeout(timer)
  }, [secrecy, threadId, open])
}

const together = (a: StoredMessage | undefined, b: StoredMessage | undefined): boolean =>
  !!a && !!b && a.sender_id === b.sender_id && Date.parse(b.created_at) - Date.parse(a.created_at) < TOGETHER_MS && dayOf(a.created_at) === dayOf(b.created_at)
