import { Changing } from './emitter.js'
import { applyEvent, applyReceipt, moveUp, type Messages } from './reduce.js'
import { ProblemError, type Rest } from './rest.js'
import type { Changes, Outgoing, Storage, StoredMessage, StoredThread } from './storage.js'
import type { EventPage, FailedFrame, Message, Pin, Receipt, SharedState, Thread, ThreadEvent, ThreadWithParticipants } from './types.js'

/** What a thread's log needs of its client. */
export interface Home {
  readonly userId: string
  readonly rest: Rest
  readonly storage: Storage
  /** Compares the store id of an answer with the known one. It throws if the log is not of that store. */
  checkStore(storeId: string | undefined): void
  outgoing(threadId: string): readonly Outgoing[]
  typists(threadId: string): readonly string[]
  changed(): void
}

export interface ThreadSnapshot {
  id: string
  thread: Thread | undefined // undefined: not read yet
  participants: StoredThread['participants']
  pins: readonly Pin[]
  /** Those in memory, oldest first; loadOlder brings more. */
  messages: readonly StoredMessage[]
  outgoing: readonly Outgoing[]
  typing: readonly string[]
  unread: number
  hasOlder: boolean
  left: boolean
}

/** Work of the lane: a frame to apply, a message of one's own that the server has taken, or the own state of the thread. */
type Job = { event: ThreadEvent } | { receipt: Receipt } | { sent: Message; n: number } | { me: SharedState }

const PAGE = 50
const LOOKED_THROUGH = 200 // messages at once, by who looks through the log

/**
 * The log of one thread. What changes it is done one after the other, in batches: a batch is
 * applied in memory, then written in one transaction, and only then is it done.
 */
export class ThreadLog {
  readonly id: string
  readonly view: Changing<ThreadSnapshot>
  record: StoredThread | undefined

  #home: Home
  #messages: StoredMessage[] = [] // the newest ones, without a gap up to the end
  #byId = new Map<string, StoredMessage>()
  #inMemory: Promise<void> | undefined
  #storageHasOlder = true

  #jobs: { job: Job; done: () => void; failed: (error: unknown) => void }[] = []
  #lane: Promise<void> = Promise.resolve()
  #running = false
  #loading: Promise<boolean> | undefined
  #journals = new Set<ThreadEvent[]>()

  // Changed in memory and not yet written. A failed write leaves them here for the next one.
  #dirty = new Map<string, StoredMessage>()
  #recordDirty = false
  #sent: number[] = []
  // Failures of a message on its way out may come before the answer that says its id.
  #early: FailedFrame[] = []

  constructor(home: Home, id: string, record?: StoredThread) {
    this.#home = home
    this.id = id
    this.record = record
    this.view = new Changing(() => this.#snapshot())
  }

  /** Applies what came. It resolves when the log has it on storage, and rejects if it cannot be had now. */
  push(job: Job): Promise<void> {
    return new Promise((done, failed) => {
      this.#jobs.push({ job, done, failed })
      this.#start()
    })
  }

  #start(): void {
    if (this.#running || this.#jobs.length === 0) return
    this.#running = true
    void this.#inLane(() => this.#work()).finally(() => {
      this.#running = false
      this.#start()
    })
  }

  /** Reads the thread, if it is not known, and what the log lacks. */
  open(): Promise<void> {
    return this.#inLane(async () => {
      await this.#ready()
      await this.#catchUp()
      await this.#write()
    })
  }

  /** Asks for the marks and members as they are now: receipts are not repeated to who was away. */
  refresh(): Promise<void> {
    return this.#inLane(async () => {
      await this.#ready()
      await this.#catchUp()
      await this.#readThread()
      await this.#write()
    })
  }

  /** Takes what a list of threads says. */
  summary(thread: Thread): void {
    if (!this.record) return
    const { last_msg_id: last, me } = this.record.thread
    // A message may have come since the list was made.
    const archived = (last ?? '') > (thread.last_msg_id ?? '') ? me.archived : thread.me.archived
    this.record.thread = { ...thread, last_msg_id: last ?? thread.last_msg_id, me: { ...thread.me, archived } }
    this.#recordDirty = true
    this.#changed()
  }

  /** Whether the newest message that the server names is in the log. */
  knows(lastMessage: string | null): boolean {
    return this.record !== undefined && (lastMessage === null || (this.record.thread.last_msg_id ?? '') >= lastMessage)
  }

  /** Brings a page of older messages into memory: from storage, then from the server. It tells whether there may be more. */
  loadOlder(): Promise<boolean> {
    return (this.#loading ??= this.#loadOlder().finally(() => {
      this.#loading = undefined
    }))
  }

  async find(id: string): Promise<StoredMessage | undefined> {
    return this.#byId.get(id) ?? this.#home.storage.message(this.id, id)
  }

  /** All messages of the local log, newest first. */
  async *stored(): AsyncGenerator<StoredMessage> {
    for (let before: string | undefined; ; ) {
      const page = await this.#home.storage.messages(this.id, before, LOOKED_THROUGH)
      yield* page
      if (page.length < LOOKED_THROUGH) return
      before = page.at(-1)!.id
    }
  }

  changed(): void {
    this.view.changed()
  }

  async #work(): Promise<void> {
    while (this.#jobs.length > 0) {
      const batch = this.#jobs.splice(0)
      try {
        await this.#ready()
        await this.#fetchTargets(batch.map((b) => b.job))
        for (const { job } of batch) await this.#apply(job)
        await this.#write()
        for (const b of batch) b.done()
      } catch (error) {
        for (const b of batch) b.failed(error)
      }
    }
  }

  async #apply(job: Job): Promise<void> {
    const record = this.record!
    if ('receipt' in job) {
      applyReceipt(record, this.#target, job.receipt)
      this.#recordDirty = true
      if (job.receipt.t === 'failed' && job.receipt.id > (this.newest?.id ?? '')) this.#early.push(job.receipt)
    } else if ('me' in job) {
      record.thread = { ...record.thread, me: { ...record.thread.me, ...job.me } }
      this.#recordDirty = true
    } else if ('sent' in job) {
      this.#sent.push(job.n)
      const { sent } = job
      if (sent.seq > record.seq && !record.ahead.includes(sent.seq)) {
        record.ahead.push(sent.seq)
        this.#absorb()
      }
      if (!this.#target.get(sent.id) && !(await this.#home.storage.message(this.id, sent.id))) this.#target.put(sent)
      moveUp(record, sent)
      for (const receipt of this.#early) if (receipt.id === sent.id) applyReceipt(record, this.#target, receipt)
      this.#early = []
      this.#recordDirty = true
    } else {
      const { event } = job
      if (this.#has(event.seq)) return
      if (event.seq !== record.seq + 1) await this.#catchUp() // what a page skips is hidden from this user
      if (this.#has(event.seq)) return
      this.#applyEvent(event)
    }
  }

  #has = (seq: number): boolean => seq <= this.record!.seq || this.record!.ahead.includes(seq)

  #applyEvent(event: ThreadEvent): void {
    const record = this.record!
    for (const journal of this.#journals) journal.push(event)
    applyEvent(record, this.#target, event, this.#home.userId)
    record.seq = event.seq
    this.#absorb()
    this.#recordDirty = true
  }

  #absorb(): void {
    const record = this.record!
    record.ahead = record.ahead.filter((seq) => seq > record.seq)
    while (record.ahead.includes(record.seq + 1)) record.seq++
    record.ahead = record.ahead.filter((seq) => seq > record.seq)
  }

  /** Reads every event that the log does not have. */
  async #catchUp(): Promise<void> {
    const record = this.record!
    if (record.left) return
    for (;;) {
      let page: EventPage
      try {
        page = await this.#home.rest.get<EventPage>(`/v1/threads/${this.id}/events`, { since_seq: record.seq, page_size: 100 })
      } catch (error) {
        return this.#unlessLeft(error)
      }
      this.#home.checkStore(page.store_id)
      await this.#fetchTargets(page.events.map((event) => ({ event })))
      for (const event of page.events) {
        if (this.#has(event.seq)) {
          // One's own message that is ahead: the events between are hidden, or came before it.
          if (event.seq > record.seq) record.seq = event.seq
        } else this.#applyEvent(event)
      }
      this.#absorb()
      if (page.next_since_seq === null) return
    }
  }

  /** Reads the thread at first sight: its newest messages, and what happened to them meanwhile. */
  async #ready(): Promise<void> {
    if (this.record) return (this.#inMemory ??= this.#fromStorage())
    const { rest } = this.#home
    const path = `/v1/threads/${this.id}`
    const found = await rest.get<ThreadWithParticipants>(path)
    const page = await rest.get<{ messages: Message[]; next_cursor: string | null }>(`${path}/messages`, { page_size: PAGE })
    const { participants, ...thread } = found
    const newest = page.messages[0]
    this.record = {
      id: this.id, thread, participants, pins: [], seq: newest?.seq ?? 0, ahead: [], older: page.next_cursor, unreadBefore: 0,
    }
    this.#inMemory = Promise.resolve()
    this.#storageHasOlder = false
    this.#recordDirty = true
    for (const message of page.messages.toReversed()) this.#target.put(message)
    await this.#catchUp()
    await this.#readThread()
    this.record.unreadBefore = Math.max(0, found.unread_count - this.#countUnread())
  }

  async #readThread(): Promise<void> {
    const path = `/v1/threads/${this.id}`
    try {
      const { participants, ...thread } = await this.#home.rest.get<ThreadWithParticipants>(path)
      const { pins } = await this.#home.rest.get<{ pins: Pin[] }>(`${path}/pins`)
      Object.assign(this.record!, { participants, thread, pins })
      this.#recordDirty = true
    } catch (error) {
      this.#unlessLeft(error)
    }
  }

  #unlessLeft(error: unknown): void {
    if (!(error instanceof ProblemError) || (error.status !== 403 && error.status !== 404)) throw error
    this.record!.left = true
    this.#recordDirty = true
  }

  async #fromStorage(): Promise<void> {
    const newest = await this.#home.storage.messages(this.id, undefined, PAGE)
    this.#storageHasOlder = newest.length === PAGE
    for (const message of newest) this.#byId.set(message.id, message)
    this.#messages = newest.reverse()
  }

  async #loadOlder(): Promise<boolean> {
    await this.#inLane(() => this.#ready())
    const record = this.record!
    if (this.#storageHasOlder) {
      const page = await this.#home.storage.messages(this.id, this.#messages[0]?.id, PAGE)
      this.#storageHasOlder = page.length === PAGE
      // What happened to one of them while it was read is not lost: it was written, or will be.
      this.#prepend(page.map((message) => this.#dirty.get(message.id) ?? message).reverse())
      if (page.length > 0) return this.#hasOlder
    }
    if (record.older === null || record.left) return false
    // What happens while the page is under way is done to its messages after it.
    const journal: ThreadEvent[] = []
    this.#journals.add(journal)
    try {
      const page = await this.#home.rest.get<{ messages: Message[]; next_cursor: string | null }>(`/v1/threads/${this.id}/messages`, {
        cursor: record.older, page_size: PAGE,
      })
      await this.#inLane(async () => {
        const fresh = page.messages.toReversed().filter((message) => !this.#byId.has(message.id))
        this.#prepend(fresh)
        for (const message of fresh) this.#dirty.set(message.id, message)
        const scratch = { ...record }
        for (const event of journal) if (event.t !== 'msg' && event.t !== 'thread') applyEvent(scratch, this.#target, event, this.#home.userId)
        record.older = page.next_cursor
        this.#recordDirty = true
        await this.#write()
      })
      return this.#hasOlder
    } finally {
      this.#journals.delete(journal)
    }
  }

  /** Whether a message belongs before what is in memory, with others between them. */
  #isOlder(id: string): boolean {
    return this.#messages[0] !== undefined && id < this.#messages[0].id && this.#hasOlder
  }

  get #hasOlder(): boolean {
    return this.#storageHasOlder || (this.record?.older ?? null) !== null
  }

  #prepend(older: StoredMessage[]): void {
    for (const message of older) this.#byId.set(message.id, message)
    this.#messages = [...older, ...this.#messages]
    this.#changed()
  }

  /** What events of a batch are about may be older than what is in memory: it is fetched before they are applied. */
  async #fetchTargets(jobs: Job[]): Promise<void> {
    await this.#inMemory
    for (const job of jobs) {
      const about = 'event' in job ? job.event : 'receipt' in job && job.receipt.t === 'failed' ? job.receipt : undefined
      if (!about || !('id' in about) || this.#byId.has(about.id) || this.#fetched.has(about.id)) continue
      if (about.t === 'msg' && !this.#isOlder(about.id)) continue
      const message = await this.#home.storage.message(this.id, about.id)
      if (message) this.#fetched.set(about.id, message)
    }
  }
  #fetched = new Map<string, StoredMessage>()

  #target: Messages = {
    get: (id) => this.#byId.get(id) ?? this.#dirty.get(id) ?? this.#fetched.get(id),
    put: (message) => {
      this.#dirty.set(message.id, message)
      if (this.#byId.has(message.id)) {
        this.#byId.set(message.id, message)
        this.#messages = this.#messages.map((m) => (m.id === message.id ? message : m))
      } else if (!this.#isOlder(message.id)) {
        this.#byId.set(message.id, message)
        let at = this.#messages.length
        while (at > 0 && this.#messages[at - 1]!.id > message.id) at--
        this.#messages = this.#messages.toSpliced(at, 0, message)
      }
    },
  }

  async #write(): Promise<void> {
    const messages = [...this.#dirty.values()]
    const sent = this.#sent
    const changes: Changes = { messages, sent }
    if (this.#recordDirty && this.record) changes.threads = [this.record]
    if (messages.length > 0 || sent.length > 0 || changes.threads) {
      await this.#home.storage.write(changes)
      for (const message of messages) if (this.#dirty.get(message.id) === message) this.#dirty.delete(message.id)
      this.#sent = this.#sent.slice(sent.length)
      this.#recordDirty = false
    }
    this.#fetched.clear()
    this.#changed()
  }

  #inLane<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lane.then(work)
    this.#lane = result.then(() => {}, () => {})
    return result
  }

  #countUnread(): number {
    const mark = this.record?.participants.find((p) => p.user_id === this.#home.userId)?.read_up_to ?? ''
    let n = 0
    for (let i = this.#messages.length - 1; i >= 0 && this.#messages[i]!.id > mark; i--) {
      const message = this.#messages[i]!
      if (message.seq < (this.record?.back ?? 0)) break
      if (message.sender_id !== this.#home.userId && !message.deleted && message.content_type !== 'control') n++
    }
    return n
  }

  get unread(): number {
    const mark = this.record?.participants.find((p) => p.user_id === this.#home.userId)?.read_up_to ?? ''
    const before = this.record && this.#messages[0] && mark >= this.#messages[0].id ? 0 : (this.record?.unreadBefore ?? 0)
    return this.#inMemory ? Math.min(100, this.#countUnread() + before) : (this.record?.thread.unread_count ?? 0)
  }

  /** The newest message for people to see. */
  get newest(): StoredMessage | undefined {
    return this.#messages.findLast((message) => message.content_type !== 'control')
  }

  /** Brings the newest messages into memory, for who shows a list of threads. */
  async preview(): Promise<void> {
    await this.#inLane(() => this.#ready())
    this.#changed()
  }

  #changed(): void {
    this.view.changed()
    this.#home.changed()
  }

  #snapshot(): ThreadSnapshot {
    return {
      id: this.id,
      thread: this.record?.thread,
      participants: this.record?.participants ?? [],
      pins: this.record?.pins ?? [],
      messages: this.#messages,
      outgoing: this.#home.outgoing(this.id),
      typing: this.#home.typists(this.id),
      unread: this.unread,
      hasOlder: this.record === undefined || this.#hasOlder,
      left: this.record?.left ?? false,
    }
  }
}
