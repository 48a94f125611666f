import { memo, useEffect, useState } from 'react'
import { progressOf, type Outgoing, type Participant, type StoredMessage } from '../src/index.js'
import { QUICK } from './emoji.js'
import { fullTimeOf, gone, hueOf, leftOf, nameOf, previewOf, timeOf } from './format.js'
import { Icon, Ticks } from './icons.js'
import { EmojiPicker } from './picker.js'
import { Exposed } from './said.js'
import type { Content } from './secrecy.js'
import type { Session } from './session.js'
import { DropdownMenu, IconButton } from './ui.js'
import type { Waiting } from './waiting.js'

interface Props {
  session: Session
  message: StoredMessage
  kind: Content['kind']
  text: string
  again: boolean // it was sent again, later than it was written
  lost: 'open' | 'asked' | undefined // it cannot be read here, and others may send it again
  exposed: boolean // it came as plain text into an encrypted conversation
  group: boolean
  participants: readonly Participant[]
  first: boolean
  last: boolean
  repliedTo: StoredMessage | null | undefined // null: not in memory
  pinned: boolean
  found: boolean
  readOnly: boolean // nothing can be answered here
  onReply: () => void
  onEdit: () => void
  onFound: () => void // it was shown as the found one for a moment
  onInfo: () => void
  onReport: () => void
  onJump: (id: string) => void
  onAsk: () => void
}

const EDITABLE_MS = 15 * 60_000
const FOUND_MS = 1800

export const MessageRow = memo(function MessageRow(props: Props) {
  const { session, message, kind, text, again, lost, exposed, group, participants, first, last, repliedTo, pinned, found, readOnly } = props
  const { client, person } = session
  const own = message.sender_id === person
  const [picking, setPicking] = useState(false)
  const left = useLifetime(message)
  useEffect(() => {
    if (!found) return
    const timer = setTimeout(props.onFound, FOUND_MS) // from when it is there, which may be late
    return () => clearTimeout(timer)
  }, [found])
  const deleted = gone(message)
  const progress = own ? progressOf(message, participants) : undefined
  const readable = kind === 'text' || kind === 'plain'
  const mutable = own && !deleted && !readOnly && Date.now() - Date.parse(message.created_at) < EDITABLE_MS
  const editable = mutable && readable
  const mine = (emoji: string) => message.reactions.find((r) => r.emoji === emoji)?.by.includes(person)
  const toggle = (emoji: string) =>
    void session.try(mine(emoji) ? client.unreact(message.thread_id, message.id, emoji) : client.react(message.thread_id, message.id, emoji))
  const sealed = !deleted && !readable
  const big = !deleted && readable && /^(\p{Extended_Pictographic}\uFE0F?\u200D?){1,3}$/u.test(text)
  const partly = group && progress && progress.read > 0 && progress.state !== 'read' ? `${progress.read}/${progress.of}` : undefined
  const state = progress?.state === 'sent' && progress.delivered > 0 ? 'delivered' : progress?.state
  return (
    <article
      className={`row ${own ? 'own' : ''} ${first ? 'first' : ''} ${last ? 'last' : ''} ${found ? 'found' : ''}`}
      aria-label={`${own ? 'You' : nameOf(message.sender_id)}, ${timeOf(message.created_at)}${exposed ? ', not encrypted' : ''}: ${text}`}
    >
      <div className="bubble-line">
        <div className={`bubble ${deleted ? 'gone' : ''} ${sealed ? 'sealed' : ''} ${big ? 'big' : ''}`} style={{ '--hue': hueOf(message.sender_id) } as React.CSSProperties}>
          {group && !own && first && <span className="sender">{nameOf(message.sender_id)}</span>}
          {repliedTo !== undefined && !deleted && (
            <button type="button" className="quote" onClick={() => props.onJump(message.reply_to_msg_id!)}>
              <strong>
                {repliedTo ? (repliedTo.sender_id === person ? 'You' : nameOf(repliedTo.sender_id)) : 'Reply'}
                {repliedTo && <Exposed session={session} message={repliedTo} />}
              </strong>
              <span>{repliedTo ? previewOf(repliedTo, session) : 'Go to the message'}</span>
            </button>
          )}
          <span className="text">
            {sealed && <Icon name="lock" size={14} />}
            {text}
          </span>
          {lost === 'open' && !readOnly && (
            <button type="button" className="ask-again" onClick={props.onAsk}>
              Ask to send again
            </button>
          )}
          {lost === 'asked' && <span className="ask-again">Asked for</span>}
          <span className="meta">
            {again && !deleted && <span title="It came later, from a device that could read it">sent again ·</span>}
            {exposed && <Exposed session={session} message={message} />}
            {pinned && <Icon name="pin" size={12} />}
            {left !== undefined && !deleted && (
              <span className="lifetime" title={`Disappears ${fullTimeOf(message.expires_at!)}`}>
                <Icon name="timer" size={12} />
                {leftOf(left)}
              </span>
            )}
            {message.edited_at && !deleted && <span>edited</span>}
            <time dateTime={message.created_at} title={fullTimeOf(message.created_at)}>
              {timeOf(message.created_at)}
            </time>
            {state && !deleted && (
              <button type="button" className="ticks-button" onClick={props.onInfo} aria-label={`${partly ? `${partly} ` : ''}${state}. Details`}>
                {partly && <span className="readers">{partly}</span>}
                <Ticks state={state} />
              </button>
            )}
          </span>
        </div>
        {!deleted && (
          <div className="actions">
            {!readOnly && <IconButton icon="smile" label="React" size={18} aria-expanded={picking} onClick={() => setPicking(!picking)} />}
            {!readOnly && <IconButton icon="reply" label="Reply" size={18} onClick={props.onReply} />}
            <DropdownMenu
              align={own ? 'end' : 'start'}
              trigger={<IconButton icon="more" label="More" size={18} />}
              entries={[
                !readOnly && { label: 'Reply', icon: 'reply', onSelect: props.onReply },
                !readOnly && { label: 'React', icon: 'smile', onSelect: () => setTimeout(() => setPicking(true)) },
                readable && { label: 'Copy', icon: 'copy', onSelect: () => void navigator.clipboard?.writeText(text) },
                !readOnly && { label: pinned ? 'Unpin' : 'Pin', icon: 'pin', onSelect: () => void session.try(pinned ? client.unpin(message.thread_id, message.id) : client.pin(message.thread_id, message.id)) },
                editable && { label: 'Edit', icon: 'edit', onSelect: props.onEdit },
                { label: 'Details', icon: 'info', onSelect: props.onInfo },
                !own && { label: 'Report', icon: 'flag', danger: true, onSelect: props.onReport },
                mutable && { label: 'Delete', icon: 'trash', danger: true, onSelect: () => void session.try(client.delete(message.thread_id, message.id)) },
              ]}
            />
            {picking && (
              <EmojiPicker
                quick={QUICK}
                onClose={() => setPicking(false)}
                onPick={(emoji) => {
                  setPicking(false)
                  toggle(emoji)
                }}
              />
            )}
          </div>
        )}
      </div>
      {message.reactions.length > 0 && (
        <div className="reactions">
          {message.reactions.map((r) => (
            <button
              key={r.emoji}
              type="button"
              className={mine(r.emoji) ? 'mine' : ''}
              aria-pressed={!!mine(r.emoji)}
              aria-label={`${r.emoji} ${r.by.map(nameOf).join(', ')}`}
              title={r.by.map((u) => (u === person ? 'You' : nameOf(u))).join(', ')}
              disabled={readOnly}
              onClick={() => toggle(r.emoji)}
            >
              {r.emoji}
              {r.count > 1 && <span>{r.count}</span>}
            </button>
          ))}
        </div>
      )}
    </article>
  )
})

/** The seconds that a message has left; undefined: for ever. */
function useLifetime(message: StoredMessage): number | undefined {
  const end = message.expires_at && !message.deleted ? Date.parse(message.expires_at) : undefined
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (end === undefined || now >= end) return
    const timer = setTimeout(() => setNow(Date.now()), Math.min(1000, end - now + 10))
    return () => clearTimeout(timer)
  }, [end, now])
  return end === undefined ? undefined : (end - now) / 1000
}

/** A message that waits to be encrypted. */
export function WaitingRow({ item, onTakeBack }: { item: Waiting; onTakeBack: () => void }) {
  return (
    <article className="row own first last" aria-label={`Waits to be encrypted: ${item.text}`}>
      <div className="bubble-line">
        <div className="bubble waiting">
          <span className="text">{item.text}</span>
          <span className="meta">
            <time dateTime={item.createdAt}>{timeOf(item.createdAt)}</time>
            <Icon name="lock" size={13} />
          </span>
        </div>
      </div>
      <p className="trouble quiet">
        Waits to be encrypted
        <button type="button" className="text-button" onClick={onTakeBack}>
          Take back
        </button>
      </p>
    </article>
  )
}

/** A message on its way out. */
export function OutgoingRow({ session, item }: { session: Session; item: Outgoing }) {
  const { kind, text } = session.secrecy.contentOf({ ciphertext: item.body.ciphertext, thread_id: item.threadId, sender_id: session.person })
  return (
    <article className="row own first last" aria-label={`Being sent: ${text}`}>
      <div className="bubble-line">
        <div className={`bubble waiting ${kind === 'locked' ? 'sealed' : ''} ${item.problem ? 'failed' : ''}`}>
          <span className="text">{text}</span>
          <span className="meta">
            <time dateTime={item.createdAt}>{timeOf(item.createdAt)}</time>
            <Ticks state={item.problem ? 'failed' : 'sending'} />
          </span>
        </div>
      </div>
      {item.problem ? (
        <p className="trouble">
          Not sent: {item.problem.detail}
          <button type="button" className="text-button" onClick={() => void session.client.retry(item.n)}>
            Try again
          </button>
          <button type="button" className="text-button" onClick={() => void session.client.discard(item.n)}>
            Discard
          </button>
        </p>
      ) : (
        item.attempts > 1 && <p className="trouble quiet">Trying again, {item.attempts} tries so far</p>
      )}
    </article>
  )
}
