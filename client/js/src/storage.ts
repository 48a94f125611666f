import type { Message, Participant, Pin, Problem, SendMessage, Thread } from './types.js'

/** A message of the local log. */
export interface StoredMessage extends Message {
  /** Recipients whom it does not reach, and why. */
  failed?: Record<string, string>
  /** The ciphertext is left out of frames for its size: `GET /v1/messages/{id}` has it. */
  omitted?: true
}

/** What is kept of a thread beside its messages. */
export interface StoredThread {
  id: string
  thread: Thread
  participants: Participant[]
  pins: Pin[]
  /** Every event up to this one is in the log, or hidden from this user. */
  seq: number
  /** Events after that which are in it too: this device's own messages, which the server does not repeat to it. */
  ahead: number[]
  /** Where the server's history goes on beyond the oldest message here; null: this is all. */
  older: string | null
  /** Unread messages older than the log. */
  unreadBefore: number
  /** The event by which the user came back into the thread: the server shows it nothing of before any more. */
  back?: number
  /** The user is not in the thread any more. */
  left?: true
}

/** A message on its way out. */
export interface Outgoing {
  /** The order of sending. */
  n: number
  threadId: string
  /** The same on every try. */
  key: string
  body: SendMessage
  createdAt: string
  attempts: number
  /** It can never be sent as it is: why. It waits for retry or discard. */
  problem?: Problem | { code: string; detail: string }
}

/** Changes that are made together or not at all. */
export interface Changes {
  storeId?: string
  threads?: StoredThread[]
  messages?: StoredMessage[]
  outgoing?: Outgoing[]
  sent?: number[] // takes these out of the outbox
  forget?: boolean // drops all threads and messages first, not the outbox
}

/**
 * Where the local log and the outbox are kept, of one user and device. A write that resolved
 * survives a reload.
 */
export interface Storage {
  load(): Promise<{ storeId: string | undefined; threads: StoredThread[]; outgoing: Outgoing[] }>
  message(threadId: string, id: string): Promise<StoredMessage | undefined>
  /** Messages before an id, all if there is none, newest first. */
  messages(threadId: string, before: string | undefined, limit: number): Promise<StoredMessage[]>
  write(changes: Changes): Promise<void>
  close(): void
}

/** Keeps everything in memory. */
export class MemoryStorage implements Storage {
  #storeId: string | undefined
  #threads = new Map<string, StoredThread>()
  #messages = new Map<string, Map<string, StoredMessage>>()
  #outgoing = new Map<number, Outgoing>()

  async load() {
    return {
      storeId: this.#storeId,
      threads: structuredClone([...this.#threads.values()]),
      outgoing: structuredClone([...this.#outgoing.values()].sort((a, b) => a.n - b.n)),
    }
  }

  async message(threadId: string, id: string) {
    return this.#messages.get(threadId)?.get(id)
  }

  async messages(threadId: string, before: string | undefined, limit: number) {
    const ids = [...(this.#messages.get(threadId)?.keys() ?? [])].filter((id) => before === undefined || id < before)
    return ids.sort().reverse().slice(0, limit).map((id) => this.#messages.get(threadId)!.get(id)!)
  }

  async write(changes: Changes) {
    if (changes.forget) {
      this.#threads.clear()
      this.#messages.clear()
    }
    if (changes.storeId !== undefined) this.#storeId = changes.storeId
    for (const thread of changes.threads ?? []) this.#threads.set(thread.id, structuredClone(thread))
    for (const message of changes.messages ?? []) {
      let thread = this.#messages.get(message.thread_id)
      if (!thread) this.#messages.set(message.thread_id, (thread = new Map()))
      thread.set(message.id, message)
    }
    for (const item of changes.outgoing ?? []) this.#outgoing.set(item.n, structuredClone(item))
    for (const n of changes.sent ?? []) this.#outgoing.delete(n)
  }

  close() {}
}
