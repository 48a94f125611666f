import { backoff, Changing, Emitter, pause } from './emitter.js'
import { encodeText } from './bytes.js'
import { jsonTransport } from './json.js'
import type { Ending, Link, Transport } from './link.js'
import { Outbox, type Once } from './outbox.js'
import { Rest, type Call } from './rest.js'
import { MemoryStorage, type Outgoing, type Storage } from './storage.js'
import { ThreadLog, type Home, type ThreadSnapshot } from './thread.js'
import { Tokens, type TokenProvider } from './tokens.js'
import type {
  Block, ContentType, Device, Frame, Me, Message, OwnState, Participant, Presence, Receipts, ReportReason, ReportReceipt, SendMessage, Signal, Thread,
  ThreadWithParticipants,
} from './types.js'

export interface ClientOptions {
  /** The server's address, as https://chat.example.com. */
  url: string
  userId: string
  /** One for each installation, kept for good. */
  deviceId: string
  token: TokenProvider
  storage?: Storage
  transport?: Transport
  fetch?: typeof fetch
  /** Sees every exchange over HTTP. */
  onCall?: (call: Call) => void
  /** Sees what goes over the realtime connection. */
  onWire?: (direction: 'in' | 'out', data: unknown, topic?: string) => void
}

export type ConnectionState =
  | 'stopped'
  | 'connecting'
  | 'catching_up' // connected: what was missed is coming
  | 'online'
  | 'waiting' // for the next try
  | 'taken_over' // another connection of this device is there; connect() takes it back
  | 'removed' // the device was removed
  | 'refused' // the server says that this client is at fault

export interface ThreadSummary {
  id: string
  thread: Thread
  participants: readonly Participant[]
  unread: number
  newest: Message | undefined
  typing: readonly string[]
  left: boolean
}

export interface ClientSnapshot {
  state: ConnectionState
  protocol: 'json' | 'mqtt'
  /** How many frames the last connection was caught up with. */
  replayed: number
  threads: readonly ThreadSummary[]
  presence: Readonly<Record<string, Presence>>
  outgoing: number
}

export type ClientEvents = {
  /** A message can never be sent as it is; retry or discard it. */
  poisoned: Outgoing
  /** The store of the server is another: the log was dropped and is read anew. */
  store_changed: string
  caught_up: { replayed: number }
  signal: Signal
  /** Every frame, after the log has it. */
  frame: Frame
  error: unknown
}

export interface SendOptions {
  contentType?: ContentType
  replyTo?: string
  ttlSeconds?: number
  attachmentId?: string
  attachmentSha256?: string
  /** What is sent again with the same content is the same message, also after a reload: see nextOnce. Without it, each call sends another message. */
  once?: Once
}

export interface ControlMessage {
  key: string
  clientSeq: number
  ciphertext: string
  epoch?: number
  ttlSeconds?: number
}

class StoreChanged extends Error {}

const TYPING_EVERY_MS = 3000
/** So many threads are read ahead at the first connection; others when they are opened. */
const PREVIEWS = 30

/**
 * A client of one user on one device: the local log, the outbox and the realtime connection. It is
 * read with getSnapshot and thread(id).view, and watched with subscribe.
 */
export class Client {
  readonly userId: string
  readonly deviceId: string
  readonly rest: Rest
  readonly events = new Emitter<ClientEvents>()
  readonly view: Changing<ClientSnapshot>

  #options: ClientOptions
  #tokens: Tokens
  #storage: Storage
  #outbox: Outbox
  #threads = new Map<string, ThreadLog>()
  #home: Home
  #loaded: Promise<void> | undefined
  #storeId: string | undefined

  #transport: Transport
  #link: Link | undefined
  #generation = 0 // of the connection: what an old one says is not heard
  #wanted = false
  #state: ConnectionState = 'stopped'
  #failures = 0
  #replayed = 0
  #wake = new AbortController()
  #renewal: ReturnType<typeof setTimeout> | undefined
  #taken: (() => void) | undefined

  #presence: Record<string, Presence> = {}
  #typing = new Map<string, Map<string, ReturnType<typeof setTimeout>>>()
  #typed = new Map<string, number>()

  constructor(options: ClientOptions) {
    this.#options = options
    this.userId = options.userId
    this.deviceId = options.deviceId
    this.#tokens = new Tokens(options.token)
    this.#storage = options.storage ?? new MemoryStorage()
    this.#transport = options.transport ?? jsonTransport()
    this.rest = new Rest({
      url: options.url, tokens: this.#tokens, deviceId: options.deviceId,
      fetch: options.fetch ?? globalThis.fetch.bind(globalThis), onCall: options.onCall,
    })
    this.view = new Changing(() => this.#snapshot())
    this.#outbox = new Outbox({
      send: (item) => this.#send(item),
      write: (changes) => this.#storage.write(changes),
      taken: (item, message) => this.thread(item.threadId).push({ sent: message, n: item.n }),
      poisoned: (item) => this.events.emit('poisoned', item),
      changed: (threadId) => {
        this.#threads.get(threadId)?.changed()
        this.view.changed()
      },
    })
    this.#home = {
      userId: options.userId,
      rest: this.rest,
      storage: this.#storage,
      checkStore: (id) => this.#checkStore(id),
      outgoing: (id) => this.#outbox.of(id),
      typists: (id) => [...(this.#typing.get(id)?.keys() ?? [])],
      changed: () => this.view.changed(),
    }
  }

  /** Whether it is connected and has caught up. */
  get online(): boolean {
    return this.#state === 'online'
  }

  subscribe = (listener: () => void): (() => void) => this.view.subscribe(listener)
  getSnapshot = (): ClientSnapshot => this.view.getSnapshot()

  /** Loads the local log. connect does it too; without it, a client shows what it has while offline. */
  load(): Promise<void> {
    return (this.#loaded ??= (async () => {
      const { storeId, threads, outgoing } = await this.#storage.load()
      this.#storeId = storeId
      for (const record of threads) this.#threads.set(record.id, new ThreadLog(this.#home, record.id, record))
      this.#outbox.load(outgoing)
      await Promise.all([...this.#threads.values()].map((thread) => thread.preview()))
      this.view.changed()
    })())
  }

  /** Connects, and stays connected until disconnect. */
  async connect(): Promise<void> {
    await this.load()
    if (this.#wanted) return this.hurry()
    this.#wanted = true
    this.#failures = 0
    this.#outbox.start()
    void this.#keepConnected()
  }

  disconnect(): void {
    this.#wanted = false
    this.#outbox.stop()
    this.#drop()
    this.hurry()
    this.#become('stopped')
  }

  /** Ends it for good. */
  close(): void {
    this.disconnect()
    for (const typists of this.#typing.values()) for (const timer of typists.values()) clearTimeout(timer)
    this.#storage.close()
  }

  /** Tries at once what waits for its next try, as when the network is back. */
  hurry(): void {
    this.#wake.abort()
    this.#wake = new AbortController()
    this.#outbox.hurry()
  }

  /** Cuts the connection without a goodbye, as a network does. */
  cut(): void {
    this.#link?.close(true)
  }

  /** Goes on with another protocol. */
  use(transport: Transport): void {
    this.#transport = transport
    this.#drop()
    this.hurry()
    this.view.changed()
  }

  thread(id: string): ThreadLog {
    let thread = this.#threads.get(id)
    if (!thread) this.#threads.set(id, (thread = new ThreadLog(this.#home, id)))
    return thread
  }

  /** Puts a message into the outbox. What it contains was encrypted before, or is plain: see encodeText. */
  send(threadId: string, ciphertext: string, options: SendOptions = {}): Promise<Outgoing> {
    const body: Omit<SendMessage, 'client_seq'> = { ciphertext, content_type: options.contentType ?? 'text' }
    if (options.replyTo) body.reply_to_msg_id = options.replyTo
    if (options.ttlSeconds) body.ttl_seconds = options.ttlSeconds
    if (options.attachmentId) body.attachment_id = options.attachmentId
    if (options.attachmentSha256) body.attachment_sha256 = options.attachmentSha256
    this.#typed.delete(threadId) // who goes on writing is told of at once
    return this.#outbox.add(threadId, body, options.once)
  }

  sendText(threadId: string, text: string, options?: SendOptions): Promise<Outgoing> {
    return this.send(threadId, encodeText(text), options)
  }

  /** For a message that is written now and sent later: whoever keeps this with it can send it again. */
  nextOnce = (): Once => ({ key: crypto.randomUUID(), clientSeq: this.#outbox.nextSeq() })

  /** A client_seq that no other message of this device has. */
  nextClientSeq = (): number => this.#outbox.nextSeq()

  /**
   * Stores a control message at once, for the clients' own protocol. With an epoch it is stored only if
   * that is the thread's next, else the ProblemError says epoch_conflict. It may be repeated as it is.
   */
  async sendControl(threadId: string, control: ControlMessage): Promise<Message> {
    const { key, clientSeq, ciphertext, epoch, ttlSeconds } = control
    const body = {
      client_seq: clientSeq, ciphertext, content_type: 'control', ...(epoch ? { epoch } : {}), ...(ttlSeconds ? { ttl_seconds: ttlSeconds } : {}),
    }
    const answer = await this.rest.request<Message>('POST', `/v1/threads/${threadId}/messages`, { body, idempotencyKey: key })
    await this.#threads.get(threadId)?.open()
    return answer.body
  }

  retry = (n: number): Promise<void> => this.#outbox.retry(n)
  discard = (n: number): Promise<void> => this.#outbox.discard(n)

  async createThread(type: Thread['type'], participants: string[], title?: string): Promise<string> {
    const body = { type, participants, ...(title ? { title } : {}) }
    const answer = await this.rest.request<ThreadWithParticipants>('POST', '/v1/threads', { body, idempotencyKey: crypto.randomUUID() })
    await this.thread(answer.body.id).open()
    return answer.body.id
  }

  edit = (threadId: string, id: string, ciphertext: string) => this.#change(threadId, 'PATCH', `/v1/messages/${id}`, { ciphertext })
  delete = (threadId: string, id: string) => this.#change(threadId, 'DELETE', `/v1/messages/${id}`)
  react = (threadId: string, id: string, emoji: string) => this.#change(threadId, 'POST', `/v1/messages/${id}/reactions`, { emoji })
  unreact = (threadId: string, id: string, emoji: string) =>
    this.#change(threadId, 'DELETE', `/v1/messages/${id}/reactions/${encodeURIComponent(emoji)}`)
  pin = (threadId: string, id: string) => this.#change(threadId, 'POST', `/v1/threads/${threadId}/pins`, { message_id: id })
  unpin = (threadId: string, id: string) => this.#change(threadId, 'DELETE', `/v1/threads/${threadId}/pins/${id}`)
  setTitle = (threadId: string, title: string | null) => this.#change(threadId, 'PATCH', `/v1/threads/${threadId}`, { title })
  addParticipant = (threadId: string, userId: string) =>
    this.#change(threadId, 'POST', `/v1/threads/${threadId}/participants`, { user_id: userId })
  removeParticipant = (threadId: string, userId: string) =>
    this.#change(threadId, 'DELETE', `/v1/threads/${threadId}/participants/${encodeURIComponent(userId)}`)
  setRole = (threadId: string, userId: string, role: Participant['role']) =>
    this.#change(threadId, 'PATCH', `/v1/threads/${threadId}/participants/${encodeURIComponent(userId)}`, { role })

  receipts = (id: string): Promise<Receipts> => this.rest.get<Receipts>(`/v1/messages/${id}/receipts`)

  /** Says that everything up to a message was read. */
  async read(threadId: string, upTo: string): Promise<void> {
    const record = this.thread(threadId).record
    const mark = record?.participants.find((p) => p.user_id === this.userId)?.read_up_to
    if (mark && mark >= upTo && !record?.thread.me.marked_unread) return
    await this.rest.request('POST', `/v1/threads/${threadId}/read`, { body: { up_to_msg_id: upTo } })
    const receipt = { t: 'read', thread_id: threadId, by: this.userId, up_to: upTo, at: new Date().toISOString(), frame_seq: 0 } as const
    await this.thread(threadId).push({ receipt })
  }

  /** Changes what the user keeps of a thread for itself, on all of its devices. */
  async setMe(threadId: string, change: OwnState): Promise<void> {
    const answer = await this.rest.request<Me>('PATCH', `/v1/threads/${threadId}/me`, { body: change })
    await this.thread(threadId).push({ me: answer.body })
  }

  block = (userId: string) => this.rest.request('PUT', `/v1/users/me/blocks/${encodeURIComponent(userId)}`)
  unblock = (userId: string) => this.rest.request('DELETE', `/v1/users/me/blocks/${encodeURIComponent(userId)}`)

  /** Everybody whom the user blocks. */
  async blocks(): Promise<Block[]> {
    const all: Block[] = []
    for (let cursor: string | undefined; ; ) {
      const page = await this.rest.get<{ blocks: Block[]; next_cursor: string | null }>('/v1/users/me/blocks', { cursor, page_size: 100 })
      all.push(...page.blocks)
      if (page.next_cursor === null) return all
      cursor = page.next_cursor
    }
  }

  /** Tells the operators of the server about a message. Again by the same user, it gives the first report. */
  report = async (id: string, reason: ReportReason, note?: string): Promise<ReportReceipt> =>
    (await this.rest.request<ReportReceipt>('POST', `/v1/messages/${id}/reports`, { body: { reason, ...(note ? { note } : {}) } })).body

  devices = async (): Promise<Device[]> => (await this.rest.get<{ devices: Device[] }>('/v1/users/me/devices')).devices
  /** Ends a device's connections and forgets its keys and position. */
  removeDevice = (id: string) => this.rest.request('DELETE', `/v1/users/me/devices/${encodeURIComponent(id)}`)

  /** Says that the user is writing: call it at every key, it tells the server every 3 s. */
  typing(threadId: string): void {
    const now = Date.now()
    if (now - (this.#typed.get(threadId) ?? 0) < TYPING_EVERY_MS) return
    this.#typed.set(threadId, now)
    this.#link?.typing(threadId)
  }

  /** Sends a moment's word to who is there: a ringing call, a live location. Nothing keeps it. */
  signal(threadId: string, name: string, data: string): void {
    this.#link?.signal(threadId, name, data)
  }

  // A change of one's own is not repeated to this device, and its answer does not say which event
  // it is: the log reads on.
  async #change(threadId: string, method: string, path: string, body?: unknown): Promise<void> {
    await this.rest.request(method, path, { body })
    await this.thread(threadId).open()
  }

  async #send(item: Outgoing): Promise<{ message: Message; differs: boolean }> {
    const link = this.#link
    if (link?.send && this.#state === 'online') return link.send(item.threadId, item.key, item.body)
    const { body, headers } = await this.rest.request<Message>('POST', `/v1/threads/${item.threadId}/messages`, {
      body: item.body, idempotencyKey: item.key, attempts: 1,
    })
    return { message: body, differs: headers.get('Idempotency-Content-Differs') === 'true' }
  }

  async #keepConnected(): Promise<void> {
    while (this.#wanted) {
      this.#become('connecting')
      const why = await this.#connection()
      if (!this.#wanted) return
      switch (why) {
        case 'taken_over':
        case 'removed':
        case 'refused':
          this.#wanted = false
          this.#outbox.stop()
          return this.#become(why)
        case 'token':
          await this.#tokens.renew().catch((error: unknown) => this.events.emit('error', error))
      }
      if (this.#switching) {
        this.#switching = false
        continue
      }
      this.#become('waiting')
      const wait = why === 'restart' ? Math.random() * 3000 : backoff(this.#failures, 1000)
      this.#failures++
      await pause(wait, this.#wake.signal)
    }
  }
  #switching = false

  /** Runs one connection to its end. */
  async #connection(): Promise<Ending> {
    const generation = ++this.#generation
    let ended!: (why: Ending) => void
    const end = new Promise<Ending>((resolve) => (ended = resolve))
    try {
      const token = await this.#tokens.get()
      const link = await this.#transport.connect(
        { url: this.#options.url, token, userId: this.userId, deviceId: this.deviceId },
        {
          opened: () => {
            if (generation === this.#generation && this.#state === 'connecting') this.#become('catching_up')
          },
          frame: (frame) => this.#received(frame, generation),
          ended,
          wire: this.#options.onWire,
        },
      )
      if (generation !== this.#generation || !this.#wanted) link.close()
      else this.#link = link
      this.#planRenewal()
    } catch (error) {
      this.events.emit('error', error)
      return 'lost'
    }
    const why = await end
    clearTimeout(this.#renewal)
    if (generation === this.#generation) this.#link = undefined
    return why
  }

  /** Ends the connection there is, to begin another. */
  #drop(): void {
    this.#switching = this.#link !== undefined
    this.#link?.close()
    this.#link = undefined
  }

  async #received(frame: Frame, generation: number): Promise<void> {
    try {
      await this.#take(frame)
    } catch (error) {
      // It is not in the log, so it is not acknowledged: it comes again at the next connection.
      if (generation === this.#generation) {
        this.events.emit('error', error)
        this.#link?.close(true)
      }
      throw error
    }
    this.events.emit('frame', frame)
  }

  async #take(frame: Frame): Promise<void> {
    switch (frame.t) {
      case 'msg':
        this.#stopTyping(frame.thread_id, frame.sender_id)
        return this.thread(frame.thread_id).push({ event: frame })
      case 'edit':
      case 'del':
      case 'reaction':
      case 'thread':
        return this.thread(frame.thread_id).push({ event: frame })
      case 'delivered':
      case 'read':
      case 'failed':
        return this.thread(frame.thread_id).push({ receipt: frame })
      case 'typing':
        return this.#startTyping(frame.thread_id, frame.user_id, frame.ttl_ms)
      case 'presence':
        this.#presence = { ...this.#presence, [frame.user_id]: { status: frame.status, last_seen_at: frame.last_seen_at } }
        return this.view.changed()
      case 'hello':
        return this.#checkStore(frame.store_id)
      case 'caught_up':
        this.#checkStore(frame.store_id)
        return this.#caughtUp(frame.replayed)
      case 'thread_state':
        // Of a thread that is not known, or cannot be read now, the list of threads says it.
        return this.#threads.get(frame.thread_id)?.push({ me: frame.me }).catch(() => {})
      case 'token_expiring':
        return void this.#renew()
      case 'auth':
        this.#taken?.()
        return
      case 'signal':
        return this.events.emit('signal', frame)
    }
  }

  #caughtUp(replayed: number): void {
    this.#failures = 0
    this.#replayed = replayed
    this.#become('online')
    this.#outbox.hurry()
    this.events.emit('caught_up', { replayed })
    this.#readThreads().catch((error: unknown) => this.events.emit('error', error))
  }

  /** Reads the list of threads, and of each what the log may lack. */
  async #readThreads(): Promise<void> {
    let read = 0
    for (let cursor: string | undefined; ; ) {
      const page = await this.rest.get<{ threads: Thread[]; next_cursor: string | null }>('/v1/threads', { cursor, page_size: 100 })
      for (const listed of page.threads) {
        const thread = this.thread(listed.id)
        const known = thread.knows(listed.last_msg_id)
        thread.summary(listed)
        if (thread.view.watched || (!thread.record && read < PREVIEWS)) await thread.refresh()
        else if (!known && read < PREVIEWS) await thread.open()
        else continue
        read++
      }
      if (page.next_cursor === null) return
      cursor = page.next_cursor
    }
  }

  #checkStore(id: string | undefined): void {
    if (id === undefined || id === this.#storeId) return
    const before = this.#storeId
    this.#storeId = id
    if (before === undefined) {
      void this.#storage.write({ storeId: id })
      return
    }
    // Nothing that the log holds needs to be true of the other store. Messages on their way out stay.
    this.#threads.clear()
    void this.#storage.write({ forget: true, storeId: id })
    this.events.emit('store_changed', id)
    this.view.changed()
    this.#link?.close(true)
    throw new StoreChanged('the server has another store')
  }

  #planRenewal(): void {
    clearTimeout(this.#renewal)
    const wait = this.#tokens.renewAt - Date.now()
    if (wait < 2 ** 31) this.#renewal = setTimeout(() => void this.#renew(), Math.max(wait, 1000))
  }

  /** Gets a new token and gives it to the connection; one that does not take it is made anew. */
  async #renew(): Promise<void> {
    const link = this.#link
    try {
      const token = await this.#tokens.renew()
      if (!link || link !== this.#link) return
      const taken = new Promise<boolean>((resolve) => {
        this.#taken = () => resolve(true)
        setTimeout(() => resolve(false), 5000)
      })
      link.authenticate(token)
      if (!(await taken) && link === this.#link) {
        this.#drop()
        this.hurry()
      }
    } catch (error) {
      this.events.emit('error', error)
    } finally {
      this.#planRenewal()
    }
  }

  #startTyping(threadId: string, userId: string, ttl: number): void {
    let typists = this.#typing.get(threadId)
    if (!typists) this.#typing.set(threadId, (typists = new Map()))
    clearTimeout(typists.get(userId))
    typists.set(userId, setTimeout(() => this.#stopTyping(threadId, userId), ttl))
    this.#threads.get(threadId)?.changed()
    this.view.changed()
  }

  #stopTyping(threadId: string, userId: string): void {
    const typists = this.#typing.get(threadId)
    if (!typists?.has(userId)) return
    clearTimeout(typists.get(userId))
    typists.delete(userId)
    this.#threads.get(threadId)?.changed()
    this.view.changed()
  }

  #become(state: ConnectionState): void {
    if (this.#state === state) return
    this.#state = state
    this.view.changed()
  }

  #snapshot(): ClientSnapshot {
    const threads: ThreadSummary[] = []
    for (const { id, record, unread, newest, view } of this.#threads.values()) {
      if (!record) continue
      const { thread, participants, left } = record
      threads.push({ id, thread, participants, unread, newest, typing: view.getSnapshot().typing, left: left ?? false })
    }
    threads.sort((a, b) => (a.thread.last_activity_at < b.thread.last_activity_at ? 1 : -1))
    return {
      state: this.#state, protocol: this.#transport.name, replayed: this.#replayed, threads,
      presence: this.#presence, outgoing: this.#outbox.size,
    }
  }
}

export type { ThreadSnapshot }
