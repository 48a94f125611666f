import { useEffect, useLayoutEffect, useRef, useState } from 'react'
import type { StoredMessage } from '../src/index.js'
import { nameOf, previewOf } from './format.js'
import { Icon } from './icons.js'
import { kept } from './kept.js'
import { EmojiPicker } from './picker.js'
import { Said } from './said.js'
import type { Secret } from './secrecy.js'
import type { Session } from './session.js'
import { DropdownMenu, IconButton } from './ui.js'
import type { Waiting } from './waiting.js'

interface Props {
  session: Session
  threadId: string
  secret: Secret
  reply: StoredMessage | undefined
  editing: StoredMessage | undefined
  takenBack: Waiting | undefined
  onDone: () => void
  onSent: () => void
  onEditLast: () => void
}

const LIVES = [[0, 'Messages stay'], [10, '10 seconds'], [300, '5 minutes'], [86_400, '1 day'], [604_800, '1 week']] as const

export function Composer({ session, threadId, secret, reply, editing, takenBack, onDone, onSent, onEditLast }: Props) {
  const { client, secrecy } = session
  const draft = kept(session.person, 'draft', threadId)
  const [text, setText] = useState(() => sessionStorage.getItem(draft) ?? '')
  const [life, setLife] = useState(0)
  const [picking, setPicking] = useState(false)
  const input = useRef<HTMLTextAreaElement>(null)

  useEffect(() => {
    if (editing) setText(previewOf(editing, session))
    if (editing || reply) input.current?.focus()
  }, [editing, reply, session])
  useEffect(() => {
    if (!takenBack) return
    giveBack(takenBack.text)
    input.current?.focus()
  }, [takenBack])
  useEffect(() => {
    if (!editing) sessionStorage.setItem(draft, text)
  }, [draft, text, editing])
  useLayoutEffect(() => {
    const box = input.current!
    box.style.height = '0'
    box.style.height = `${Math.min(box.scrollHeight, 160)}px`
  }, [text])

  const waits = secret.mode === 'nobody' || secret.mode === 'outside'
  const blocked = secret.mode === 'unavailable' || (!!editing && waits)
  /** Nothing that was written is lost: it comes before what is being written. */
  const giveBack = (back: string) => setText((text) => (text ? `${back}\n${text}` : back))

  const cancel = () => {
    if (editing) setText('')
    onDone()
  }
  const send = () => {
    const trimmed = text.trim()
    if (!trimmed || blocked) return
    if (editing) {
      if (trimmed !== previewOf(editing, session)) void session.try(secrecy.edit(threadId, editing.id, trimmed, secret.mode))
    } else {
      onSent()
      const options = { ...(reply ? { replyTo: reply.id } : {}), ...(life ? { ttlSeconds: life } : {}) }
      void session.try(secrecy.send(threadId, trimmed, secret.mode, options).catch((error: unknown) => {
        giveBack(trimmed)
        throw error
      }))
    }
    setText('')
    onDone()
  }
  const keys = (event: React.KeyboardEvent) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault()
      send()
    } else if (event.key === 'Escape') cancel()
    else if (event.key === 'ArrowUp' && text === '') {
      event.preventDefault()
      onEditLast()
    }
  }
  const about = editing ?? reply
  return (
    <footer className="composer">
      {about && (
        <div className="about">
          <Icon name={editing ? 'edit' : 'reply'} size={18} />
          <div>
            <strong>{editing ? 'Edit message' : `Reply to ${about.sender_id === session.person ? 'yourself' : nameOf(about.sender_id)}`}</strong>
            <span>
              <Said session={session} message={about} />
            </span>
          </div>
          <IconButton icon="close" label="Cancel" size={18} onClick={cancel} />
        </div>
      )}
      <div className="compose-line">
        <div className="picker-anchor">
          <IconButton icon="smile" label="Emojis" aria-expanded={picking} onClick={() => setPicking(!picking)} />
          {picking && (
            <EmojiPicker
              onClose={() => setPicking(false)}
              onPick={(emoji) => {
                setPicking(false)
                setText(text + emoji)
                input.current?.focus()
              }}
            />
          )}
        </div>
        <textarea
          ref={input}
          rows={1}
          placeholder={life ? `Disappears after ${LIVES.find(([s]) => s === life)![1]}` : secret.mode === 'plain' ? 'Message, not encrypted' : 'Message'}
          aria-label="Message"
          value={text}
          onChange={(event) => {
            setText(event.target.value)
            if (event.target.value && !editing) client.typing(threadId)
          }}
          onKeyDown={keys}
        />
        {!editing && (
          <DropdownMenu
            trigger={<IconButton icon="timer" label={life ? `Disappearing messages: ${LIVES.find(([s]) => s === life)![1]}` : 'Disappearing messages'} aria-pressed={life > 0} />}
            entries={LIVES.map(([seconds, label]) => ({ label, icon: 'timer' as const, checked: seconds === life, onSelect: () => setLife(seconds) }))}
          />
        )}
        <button type="button" className="send" aria-label={editing ? 'Save' : 'Send'} disabled={!text.trim() || blocked} onClick={send}>
          <Icon name="send" />
        </button>
      </div>
    </footer>
  )
}
