import { backoff, pause } from './emitter.js'
import { ProblemError } from './rest.js'
import type { Changes, Outgoing } from './storage.js'
import type { Message, SendMessage } from './types.js'

/** What makes a message the same at every try: a key, and a client_seq that no other message of this device has. */
export interface Once {
  key: string
  clientSeq: number
}

/** What the outbox needs of its client. */
export interface Post {
  /** Sends one message once; whether content differs from what this client_seq had sent before. */
  send(item: Outgoing): Promise<{ message: Message; differs: boolean }>
  write(changes: Changes): Promise<void>
  /** The server has it: the log takes it in, and the outbox loses it, in one write. */
  taken(item: Outgoing, message: Message): Promise<void>
  /** It can never be sent as it is. */
  poisoned(item: Outgoing): void
  changed(threadId: string): void
}

/** Codes of refusals that are no fault of the message: it is tried again. */
const later = (error: unknown): boolean =>
  !(error instanceof ProblemError) || error.status === 0 || error.status === 401 || error.status === 408 || error.status === 429 || error.status >= 500

/**
 * Messages on their way out. Each is written to storage before its first try, and stays there until
 * the server has it; every try has the same key, so that it is stored once. Threads go side by side,
 * the messages of a thread one after the other.
 */
export class Outbox {
  #post: Post
  #items: Outgoing[] = []
  #running = new Set<string>()
  #wake = new AbortController()
  #n = 0
  #lastSeq = 0
  #stopped = true

  constructor(post: Post) {
    this.#post = post
  }

  load(items: Outgoing[]): void {
    this.#items = items
    for (const item of items) {
      this.#n = Math.max(this.#n, item.n)
      this.#lastSeq = Math.max(this.#lastSeq, item.body.client_seq)
    }
  }

  of(threadId: string): readonly Outgoing[] {
    return this.#items.filter((item) => item.threadId === threadId)
  }

  get size(): number {
    return this.#items.length
  }

  /** Puts a message in. One that has the key of another one in it is that. */
  async add(threadId: string, body: Omit<SendMessage, 'client_seq'>, once?: Once): Promise<Outgoing> {
    const there = once && this.#items.find((i) => i.threadId === threadId && i.key === once.key)
    if (there) return there
    const item: Outgoing = {
      n: ++this.#n, threadId, key: once?.key ?? crypto.randomUUID(), body: { client_seq: once?.clientSeq ?? this.nextSeq(), ...body },
      createdAt: new Date().toISOString(), attempts: 0,
    }
    // It is shown once it is in storage: what is seen survives a reload.
    await this.#post.write({ outgoing: [item] })
    this.#items = [...this.#items, item].sort((a, b) => a.n - b.n)
    this.#post.changed(threadId)
    this.#run(threadId)
    return item
  }

  // It only has to be new on this device, and to rise: the clock does that, over a loss of storage too.
  nextSeq(): number {
    return (this.#lastSeq = Math.max(this.#lastSeq + 1, Date.now()))
  }

  /** Tries a message again that could not be sent. */
  async retry(n: number): Promise<void> {
    const item = this.#items.find((i) => i.n === n)
    if (!item) return
    await this.#replace({ ...item, problem: undefined })
    this.#run(item.threadId)
  }

  async discard(n: number): Promise<void> {
    const item = this.#items.find((i) => i.n === n)
    if (!item) return
    this.#items = this.#items.filter((i) => i !== item)
    await this.#post.write({ sent: [n] })
    this.#post.changed(item.threadId)
  }

  start(): void {
    this.#stopped = false
    for (const item of this.#items) this.#run(item.threadId)
  }

  /** Ends the pauses between tries, as after the network is back. */
  hurry(): void {
    this.#wake.abort()
    this.#wake = new AbortController()
  }

  stop(): void {
    this.#stopped = true
    this.hurry()
  }

  #run(threadId: string): void {
    if (this.#stopped || this.#running.has(threadId)) return
    this.#running.add(threadId)
    void this.#lane(threadId).finally(() => this.#running.delete(threadId))
  }

  async #lane(threadId: string): Promise<void> {
    for (let failures = 0; !this.#stopped; ) {
      let item = this.#items.find((i) => i.threadId === threadId && !i.problem)
      if (!item) return
      try {
        item = await this.#replace({ ...item, attempts: item.attempts + 1 })
        const { message, differs } = await this.#post.send(item)
        if (differs) {
          // Something else had this client_seq before: this message is not stored yet, and gets new ones.
          await this.#replace({ ...item, key: crypto.randomUUID(), body: { ...item.body, client_seq: this.nextSeq() } })
          continue
        }
        this.#items = this.#items.filter((i) => i.n !== item!.n)
        await this.#post.taken(item, message)
        failures = 0
      } catch (error) {
        if (later(error)) {
          const asked = error instanceof ProblemError ? error.retryAfterMs : 0
          await pause(Math.max(asked, backoff(failures++, 500, 30_000)), this.#wake.signal)
          continue
        }
        const { code, problem, message } = error as ProblemError
        await this.#replace({ ...item, problem: { ...problem, code, detail: message } })
        this.#post.poisoned(this.#items.find((i) => i.n === item!.n)!)
      }
    }
  }

  async #replace(item: Outgoing): Promise<Outgoing> {
    if (!this.#items.some((i) => i.n === item.n)) return item // discarded meanwhile
    this.#items = this.#items.map((i) => (i.n === item.n ? item : i))
    this.#post.changed(item.threadId)
    await this.#post.write({ outgoing: [item] })
    return item
  }
}
