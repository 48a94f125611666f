// What an event does to a thread and its messages. Everything here may be done twice: an event that
// the state holds already changes nothing that a later one of the log does not set right.
import type { StoredMessage, StoredThread } from './storage.js'
import type { MsgEvent, Participant, Reaction, Receipt, ThreadEvent } from './types.js'

/** The messages of a thread, as far as the event needs them. Records are never changed, but replaced. */
export interface Messages {
  get(id: string): StoredMessage | undefined
  put(message: StoredMessage): void
}

export function applyEvent(record: StoredThread, messages: Messages, event: ThreadEvent, self: string): void {
  switch (event.t) {
    case 'msg':
      return applyMessage(record, messages, event)
    case 'edit': {
      const message = messages.get(event.id)
      // Read later, an edit has the present content: none, if the message is gone by now.
      if (!message || message.deleted) return
      const content = event.ciphertext !== '' ? { ciphertext: event.ciphertext, content_type: event.content_type } : {}
      messages.put({ ...message, ...content, edited_at: event.edited_at })
      return
    }
    case 'del': {
      const message = messages.get(event.id)
      if (message) messages.put(tombstone(message))
      record.pins = record.pins.filter((pin) => pin.message_id !== event.id)
      return
    }
    case 'reaction': {
      const message = messages.get(event.id)
      if (message && !message.deleted) {
        messages.put({ ...message, reactions: react(message.reactions, event.emoji, event.by, event.op === 'add' ? event.at : undefined) })
      }
      return
    }
    case 'thread':
      return applyThreadEvent(record, event, self)
  }
}

function applyMessage(record: StoredThread, messages: Messages, event: MsgEvent): void {
  if (!messages.get(event.id)) messages.put(messageOf(event))
  if (event.content_type !== 'control') moveUp(record, event)
}

/** A message that is the newest moves its thread up, and brings it back from the archive unless it is muted. */
export function moveUp(record: StoredThread, message: { id: string; created_at: string }): void {
  const { thread } = record
  if (thread.last_msg_id !== null && message.id <= thread.last_msg_id) return
  const muted = thread.me.muted_until !== null && thread.me.muted_until > message.created_at
  const me = thread.me.archived && !muted ? { ...thread.me, archived: false } : thread.me
  record.thread = { ...thread, last_msg_id: message.id, last_activity_at: message.created_at, me }
}

function messageOf(e: MsgEvent): StoredMessage {
  return {
    id: e.id,
    thread_id: e.thread_id,
    seq: e.seq,
    sender_id: e.sender_id,
    device_id: e.device_id ?? '',
    client_seq: e.client_seq ?? 0,
    ciphertext: e.ciphertext,
    content_type: e.content_type,
    created_at: e.created_at,
    edited_at: null,
    deleted: false,
    reactions: [],
    reply_to_msg_id: e.reply_to_msg_id ?? null,
    attachment_id: e.attachment_id ?? null,
    attachment_sha256: e.attachment_sha256 ?? null,
    expires_at: e.expires_at ?? null,
    epoch: e.epoch ?? null,
    ...('omitted' in e && e.omitted ? { omitted: true as const } : {}),
  }
}

export const tombstone = (message: StoredMessage): StoredMessage => ({
  ...message, deleted: true, ciphertext: '', reactions: [], attachment_id: null, attachment_sha256: null,
})

function react(reactions: Reaction[], emoji: string, by: string, at: string | undefined): Reaction[] {
  const old = reactions.find((r) => r.emoji === emoji)
  const i = old?.by.indexOf(by) ?? -1
  if (at !== undefined) {
    if (i >= 0) return reactions
    if (!old) return [...reactions, { emoji, count: 1, by: [by], at: [at] }]
    return reactions.map((r) => (r === old ? { emoji, count: r.count + 1, by: [...r.by, by], at: [...r.at, at] } : r))
  }
  if (!old || i < 0) return reactions
  if (old.count === 1) return reactions.filter((r) => r !== old)
  return reactions.map((r) => (r === old ? { emoji, count: r.count - 1, by: r.by.toSpliced(i, 1), at: r.at.toSpliced(i, 1) } : r))
}

function applyThreadEvent(record: StoredThread, event: Extract<ThreadEvent, { t: 'thread' }>, self: string): void {
  switch (event.event) {
    case 'title_changed':
      record.thread = { ...record.thread, title: event.title }
      return
    case 'participant_added':
      if (event.user_id === self) {
        delete record.left
        record.back = event.seq
        record.unreadBefore = 0
      }
      if (!record.participants.some((p) => p.user_id === event.user_id)) {
        setParticipants(record, [
          ...record.participants,
          { user_id: event.user_id, role: event.role, joined_at: event.at, delivered_up_to: null, read_up_to: null } as Participant,
        ])
      }
      return
    case 'participant_removed':
      if (event.user_id === self) record.left = true
      setParticipants(record, record.participants.filter((p) => p.user_id !== event.user_id))
      return
    case 'role_changed':
      record.participants = record.participants.map((p) => (p.user_id === event.user_id ? { ...p, role: event.role } : p))
      return
    case 'pinned':
      if (!record.pins.some((pin) => pin.message_id === event.message_id)) {
        record.pins = [...record.pins, { message_id: event.message_id, pinned_by: event.by, pinned_at: event.at }]
      }
      return
    case 'unpinned':
      record.pins = record.pins.filter((pin) => pin.message_id !== event.message_id)
  }
}

function setParticipants(record: StoredThread, participants: Participant[]): void {
  record.participants = participants
  record.thread = { ...record.thread, participant_count: participants.length }
}

const later = (a: string | null, b: string | null): string | null => (a === null || (b !== null && b > a) ? b : a)

/** Moves the marks of who has received and read, forwards only. */
export function applyReceipt(record: StoredThread, messages: Messages, receipt: Receipt): void {
  if (receipt.t === 'failed') {
    const message = messages.get(receipt.id)
    if (message) messages.put({ ...message, failed: { ...message.failed, [receipt.by]: receipt.reason } })
    return
  }
  const upTo = receipt.t === 'read' ? receipt.up_to : receipt.id
  record.participants = record.participants.map((p) =>
    p.user_id !== receipt.by
      ? p
      : { ...p, delivered_up_to: later(p.delivered_up_to, upTo), read_up_to: receipt.t === 'read' ? later(p.read_up_to, upTo) : p.read_up_to },
  )
}

/** How far a message of one's own has got, by the marks: exact states and times are at `GET …/receipts`. */
export interface Progress {
  state: 'sent' | 'delivered' | 'read' | 'failed'
  delivered: number
  read: number
  of: number
}

export function progressOf(message: StoredMessage, participants: readonly Participant[]): Progress {
  let delivered = 0
  let read = 0
  let of = 0
  for (const p of participants) {
    if (p.user_id === message.sender_id || p.joined_at > message.created_at || message.failed?.[p.user_id]) continue
    of++
    if (p.read_up_to !== null && p.read_up_to >= message.id) read++
    if (p.delivered_up_to !== null && p.delivered_up_to >= message.id) delivered++
  }
  delivered = Math.max(delivered, read)
  const failed = of === 0 && message.failed !== undefined
  return { state: failed ? 'failed' : of > 0 && read === of ? 'read' : of > 0 && delivered === of ? 'delivered' : 'sent', delivered, read, of }
}
