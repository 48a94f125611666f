// The encryption of a person's conversations, as the page has it: opened after the page is shown, in
// one tab at a time, and asked before every message how the conversation stands.
import { decodeText, encodeText, toBase64, type Client, type SendOptions, type StoredMessage } from '../src/index.js'
import { Changing } from '../src/emitter.js'
import type { Device, Encryption, Seen, Standing, Unreadable } from '../src/mls/index.js'
import { nameOf } from './format.js'
import { kept } from './kept.js'
import { Resending, type Asking } from './resending.js'
import { WaitingTexts, type Waiting } from './waiting.js'

/** What a message says, and how it came. */
export interface Content {
  kind:
    | 'text' // it was encrypted
    | 'plain' // it was not
    | 'locked' // it is encrypted, and this device cannot read it: the text says why
    | 'waiting' // it is not decrypted yet
  text: string
  /** Another device may be able to read it, and to send it again. */
  lost?: true
  /** It came later, from a device that could read it. */
  again?: true
}

/** Whether this tab can encrypt. */
export type Readiness = 'opening' | 'open' | 'elsewhere' | 'failed'

/** What happens to a message that is written in a conversation now. */
export type Mode =
  | 'opening' // not known yet
  | 'encrypted'
  | 'new' // nothing was said in it: the first message begins the encryption
  | 'plain' // it is not encrypted: it began so, or the person here chose it
  | 'nobody' // nobody else has a device that could read it
  | 'outside' // it is encrypted, and this device is not let in yet
  | 'unavailable' // it is to be encrypted, and this tab cannot

export interface Secret {
  mode: Mode
  /** People who could not read what is sent now. */
  without: readonly string[]
  /** People whose safety number is another than the one that was compared. */
  changed: readonly string[]
  /** Whether to send without encryption is left to choose: nothing in it was encrypted before. */
  mayBePlain: boolean
  /** Devices that have come to people here, and of which nobody has taken note yet. */
  added: readonly Device[]
}

type Written = Pick<StoredMessage, 'ciphertext' | 'thread_id'> & { sender_id?: string }

const WHY: Record<Unreadable, string> = {
  before_joining: 'Sent before this device was let in',
  no_key: 'This device does not have the key of this message',
  not_encrypted: 'Not encrypted',
  another_sender: 'Signed by somebody else than the server says: not shown',
  another_thread: 'Written in another conversation than the server says: not shown',
}

/** Another device could know what it says. */
const LOST: readonly Unreadable[] = ['before_joining', 'no_key']

/** So long after a failure what was missed is read again. */
const AGAIN_MS = 3000
/** So many conversations are looked after when the encryption opens; others when they are shown. */
const TENDED = 30
/** So often it is looked whether what waits can be encrypted. */
const LOOK_MS = 3000

/** What is written now cannot be encrypted, and waits until it can. */
class NotYet extends Error {}

export class Secrecy {
  readonly view = new Changing(() => ({ readiness: this.#readiness, why: this.#why, standings: new Map(this.#standings) }))

  #client: Client
  #tell: (text: string) => void
  #mls: Encryption | undefined
  #module: typeof import('./mls.js') | undefined
  #readiness: Readiness = 'opening'
  #why = ''
  #waiting: (() => void)[] = []
  #turn: AbortController | undefined // of the keys, which one tab has at a time
  #held: Promise<void> = Promise.resolve()
  readonly waiting: WaitingTexts
  #sending = new Map<string, Promise<void>>() // what waits, by conversation
  #looking: ReturnType<typeof setInterval>
  #closed = false
  #beginning = new Map<string, Promise<void>>() // conversations whose encryption begins
  #asked = new Set<string>() // conversations of which the standing is to be known
  #standings = new Map<string, Standing>()
  #numbersChanged = new Map<string, readonly string[]>()
  #refreshing = new Map<string, 'once' | 'again'>()
  #wanted = new Map<string, Written>() // to be loaded, by ciphertext
  #unknown = new Set<string>() // ciphertexts that were tried
  readonly resending = new Resending(() => this.#changed())

  constructor(client: Client, tell: (text: string) => void) {
    this.#client = client
    this.#tell = tell
    this.waiting = new WaitingTexts(client.userId, () => this.#changed())
    this.#looking = setInterval(() => this.#look(), LOOK_MS)
    client.events.on('caught_up', () => {
      if (this.#readiness === 'failed') this.open() // the server may not have been there
      else void this.#tendAll()
    })
    let before = client.getSnapshot().state
    client.subscribe(() => {
      // Who takes the connection back takes the keys back.
      const { state } = client.getSnapshot()
      if (this.#readiness === 'elsewhere' && ['taken_over', 'stopped'].includes(before) && state !== before) this.open()
      before = state
    })
  }

  /** Of the database that holds the keys, and of whatever concerns it. */
  get name(): string {
    return kept(this.#client.userId, this.#client.deviceId, 'secrets')
  }

  /** Takes the keys from whichever tab has them, and opens the encryption. */
  open(): void {
    if (this.#closed) return
    const turn = new AbortController()
    this.#turn = turn
    this.#become('opening')
    this.#held = this.#hold(turn).catch((error: unknown) => {
      if (this.#turn === turn) this.#become('failed', messageOf(error))
    })
  }

  async #hold(turn: AbortController): Promise<void> {
    if (!globalThis.isSecureContext) throw new Error('it needs HTTPS, or localhost')
    const given = new Promise<void>((resolve) => turn.signal.addEventListener('abort', () => resolve()))
    // The last to ask has the turn, as the browser orders them: whoever had it loses it, and closes the keys before they are opened here.
    navigator.locks.request(`${this.name}/turn`, { steal: true }, () => given).catch(() => {
      turn.abort()
      if (this.#turn === turn) this.#give()
    })
    const holding = navigator.locks.request(this.name, { signal: turn.signal }, async () => {
      const module = (this.#module ??= await import('./mls.js'))
      await this.#client.load()
      const mls = await module.Encryption.open(this.#client, { secrets: new module.IndexedDBSecrets(this.name) })
      mls.events.on('texts', () => this.#changed())
      mls.events.on('group', (id) => this.#asked.has(id) && this.refresh(id))
      mls.events.on('error', () => setTimeout(() => void this.#again(mls), AGAIN_MS))
      this.#watchDevices(mls)
      mls.events.on('asked', (id) => this.refresh(id))
      if (!turn.signal.aborted) {
        this.#mls = mls
        this.#become('open')
        void this.#tendAll()
      }
      await given
      await mls.close()
    })
    try {
      await holding
    } catch (error) {
      if (!turn.signal.aborted) throw error
    } finally {
      turn.abort()
    }
  }

  /** Leaves the keys to another tab. */
  #give(): void {
    this.#turn?.abort()
    this.#mls = undefined
    this.#standings.clear()
    this.resending.clear()
    this.#become('elsewhere')
  }

  /** Ends it: nothing of the keys is in use after that. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#looking)
    this.waiting.close()
    this.#give()
    await this.#held
  }

  #become(readiness: Readiness, why = ''): void {
    this.#readiness = readiness
    this.#why = why
    if (readiness !== 'opening') for (const go of this.#waiting.splice(0)) go()
    this.#changed()
  }

  /** What is shown may be another now. */
  #changed(): void {
    this.view.changed()
    this.#client.view.changed()
    for (const { id } of this.#client.getSnapshot().threads) this.#client.thread(id).changed()
  }

  /** The encryption, once it is open; undefined where it does not open. */
  async #opened(): Promise<Encryption | undefined> {
    if (this.#readiness === 'opening') await new Promise<void>((go) => this.#waiting.push(go))
    return this.#mls
  }

  async #tendAll(): Promise<void> {
    const mls = this.#mls
    for (const id of this.#asked) this.refresh(id)
    if (!mls || !this.#client.online) return
    for (const { id, thread, left } of this.#client.getSnapshot().threads.slice(0, TENDED)) {
      if (thread.epoch > 0 && !left) await mls.tend(id).catch(() => {})
    }
  }

  async #again(mls: Encryption): Promise<void> {
    for (const id of this.#asked) if (this.#mls === mls) await mls.sync(id).catch(() => {})
  }

  /** Asks anew how a conversation stands. */
  refresh(threadId: string): void {
    this.#asked.add(threadId)
    if (this.#refreshing.has(threadId)) return void this.#refreshing.set(threadId, 'again')
    this.#refreshing.set(threadId, 'once')
    const ask = async (): Promise<void> => {
      const mls = await this.#opened()
      if (!mls) return
      const standing = await mls.standing(threadId)
      if (mls !== this.#mls) return
      this.#stands(threadId, standing)
      void this.#sendWaiting(threadId).catch(() => {}) // it goes on waiting
      if (standing.state !== 'in') return
      await this.#checkNumbers(threadId)
      await this.resending.read(mls, threadId)
    }
    void ask().catch(() => {}).finally(() => {
      const again = this.#refreshing.get(threadId) === 'again'
      this.#refreshing.delete(threadId)
      if (again) this.refresh(threadId)
    })
  }

  /** Looks after a conversation that is shown, while somebody in it cannot read, or this device cannot. */
  async tend(threadId: string): Promise<void> {
    if (this.#mls && this.#client.online && this.of(threadId).mode !== 'plain') await this.#mls.tend(threadId).catch(() => {})
    this.refresh(threadId)
  }

  /** How a conversation stands, as far as that is known. */
  of(threadId: string): Secret {
    const { thread, participants, messages, hasOlder } = this.#client.thread(threadId).view.getSnapshot()
    const others = participants.filter((p) => p.user_id !== this.#client.userId)
    const standing = this.#standings.get(threadId)
    const begun = this.#begun(threadId)
    const plain = !begun && !this.#beginning.has(threadId) && (this.#chosen(threadId) || hasOlder || messages.some((m) => m.content_type !== 'control' && !isSealed(m.ciphertext)))
    const mayBePlain = !begun
    if (this.#readiness === 'failed' || this.#readiness === 'elsewhere') {
      return { mode: plain && thread ? 'plain' : 'unavailable', without: [], changed: [], added: [], mayBePlain: mayBePlain && this.#readiness === 'failed' }
    }
    if (!standing || !thread) return { mode: 'opening', without: [], changed: [], added: [], mayBePlain: false }
    const { state, without } = standing
    const known = { without, changed: this.#numbersChanged.get(threadId) ?? [], added: this.#addedTo(threadId), mayBePlain }
    if (state === 'outside') return { mode: 'outside', ...known }
    if (plain) return { mode: 'plain', ...known }
    if (others.length > 0 && others.every((p) => without.includes(p.user_id))) return { mode: 'nobody', ...known }
    return { mode: state === 'in' ? 'encrypted' : 'new', ...known }
  }

  /** Whether the encryption of a conversation has begun, as far as that is known. */
  #begun(threadId: string): boolean {
    const standing = this.#standings.get(threadId)
    return this.#wasEncrypted(threadId) || (standing ? standing.state !== 'none' : (this.#client.thread(threadId).record?.thread.epoch ?? 0) > 0)
  }

  /** Whether a message came as plain text into a conversation that is encrypted: the server can read it, and may have written it. */
  isExposed({ ciphertext, thread_id }: Written): boolean {
    return ciphertext !== '' && !isSealed(ciphertext) && this.#begun(thread_id)
  }

  /** Once encrypted, a conversation is never plain again: the server could say that it has no encryption. */
  #wasEncrypted = (threadId: string): boolean => localStorage.getItem(this.#memory(threadId)) !== null
  #memory = (threadId: string): string => kept(this.#client.userId, 'encrypted', threadId)

  #stands(threadId: string, standing: Standing): void {
    this.#standings.set(threadId, standing)
    if (standing.state !== 'none' && !this.#wasEncrypted(threadId)) localStorage.setItem(this.#memory(threadId), 'seen')
    this.#changed()
  }

  #chosen = (threadId: string): boolean => localStorage.getItem(this.#choice(threadId)) !== null
  #choice = (threadId: string): string => kept(this.#client.userId, 'plain', threadId)

  /** The person has chosen to write without encryption: what waits for it goes out so. */
  choosePlain(threadId: string): void {
    localStorage.setItem(this.#choice(threadId), 'chosen')
    this.#changed()
    void this.#sendWaiting(threadId, 'plain').catch((error: unknown) => this.#tell(messageOf(error)))
  }

  /** Encrypts what is written in a conversation from now on. */
  begin(threadId: string): Promise<void> {
    let beginning = this.#beginning.get(threadId)
    if (!beginning) {
      beginning = this.#begin(threadId).finally(() => {
        this.#beginning.delete(threadId)
        this.#changed()
        this.refresh(threadId)
      })
      this.#beginning.set(threadId, beginning)
      this.#changed()
    }
    return beginning
  }

  async #begin(threadId: string): Promise<void> {
    const group = this.#need().group(threadId)
    localStorage.removeItem(this.#choice(threadId))
    await group.reconcile()
    await this.#ask(threadId)
  }

  #need(): Encryption {
    if (!this.#mls) throw new Error(this.#readiness === 'elsewhere' ? 'The keys are in use in another tab' : 'The encryption is not open')
    return this.#mls
  }

  /** A conversation whose encryption begins at once, if there is anybody to encrypt for. */
  async createThread(type: '1_TO_1' | 'GROUP', userIds: string[], title?: string): Promise<string> {
    const id = await this.#client.createThread(type, userIds, title)
    void this.#beginNew(id).catch((error: unknown) => this.#tell(messageOf(error)))
    return id
  }

  async #beginNew(threadId: string): Promise<void> {
    if (!(await this.#opened())) return
    await this.#ask(threadId)
    if (this.of(threadId).mode === 'new') await this.begin(threadId)
  }

  /** Asks how a conversation stands, and waits for the answer. */
  async #ask(threadId: string): Promise<void> {
    const mls = await this.#opened()
    if (!mls) return
    this.#stands(threadId, await mls.standing(threadId))
  }

  /**
   * Sends a text, in the mode that the person saw when it was written: it is never sent without
   * encryption where that was not shown. What cannot be encrypted yet waits until it can.
   */
  async send(threadId: string, text: string, shown: Mode, options?: SendOptions): Promise<void> {
    const { mode } = this.of(threadId)
    if (mode === shown && (mode === 'plain' || (mode === 'encrypted' && this.waiting.of(threadId).length === 0))) {
      return this.#sendNow(threadId, text, shown, options)
    }
    this.waiting.add(threadId, text, this.#client.nextOnce(), options)
    await this.#sendWaiting(threadId, shown).catch((error: unknown) => {
      if (!(error instanceof NotYet)) this.#tell(messageOf(error))
    })
  }

  async #sendNow(threadId: string, text: string, shown: Mode, options?: SendOptions): Promise<void> {
    if (await this.#encrypts(threadId, shown)) await this.#need().sendText(threadId, text, options)
    else await this.#client.sendText(threadId, text, options)
    if (this.#standings.get(threadId)?.state === 'none') this.refresh(threadId)
  }

  /** Sends what waits in a conversation, one after the other; what cannot be sent goes on waiting. */
  async #sendWaiting(threadId: string, shown: Mode = this.of(threadId).mode === 'plain' ? 'nobody' : this.of(threadId).mode): Promise<void> {
    for (let before; (before = this.#sending.get(threadId)); ) await before.catch(() => {})
    if (this.waiting.of(threadId).length === 0) return
    const sending = (async () => {
      for (let next; !this.#closed && (next = this.waiting.of(threadId)[0]); this.waiting.remove(threadId, next)) {
        await this.#sendKept(threadId, next, shown)
      }
    })()
    this.#sending.set(threadId, sending)
    await sending.finally(() => this.#sending.delete(threadId))
  }

  /** What it is sent as is kept before it leaves: after a reload it is sent as the same message. */
  async #sendKept(threadId: string, next: Waiting, shown: Mode): Promise<void> {
    const { text, options, once, ciphertext } = next
    const sealed = ciphertext ?? ((await this.#encrypts(threadId, shown)) ? await this.#need().group(threadId).encrypt(text) : encodeText(text))
    if (!ciphertext && !this.waiting.seal(threadId, next, sealed)) return // it was taken back
    await this.#client.send(threadId, sealed, { ...options, once })
    if (this.#standings.get(threadId)?.state === 'none') this.refresh(threadId)
  }

  /** Asks how those conversations stand in which something waits. */
  #look(): void {
    if (!this.#mls || !this.#client.online) return
    for (const threadId of this.waiting.threads) void this.tend(threadId)
  }

  async edit(threadId: string, id: string, text: string, shown: Mode): Promise<void> {
    if (await this.#encrypts(threadId, shown)) await this.#need().edit(threadId, id, text)
    else await this.#client.edit(threadId, id, encodeText(text))
  }

  async #encrypts(threadId: string, shown: Mode): Promise<boolean> {
    await this.#opened()
    await this.#beginning.get(threadId)?.catch(() => {})
    if (this.of(threadId).mode === 'opening') await this.#ask(threadId)
    const { mode } = this.of(threadId)
    switch (mode) {
      case 'encrypted':
      case 'new':
        return true
      case 'plain':
        if (shown === 'plain') return false
        throw new Error('Not sent: this conversation is not encrypted')
      case 'nobody':
        throw new NotYet('Not sent: nobody here has a device with encryption yet')
      case 'outside':
        throw new NotYet('Not sent: this device is not let in yet')
      default:
        throw new NotYet('Not sent: the encryption is not open')
    }
  }

  async add(threadId: string, userId: string): Promise<void> {
    const mls = await this.#encrypting(threadId)
    await (mls ?? this.#client).addParticipant(threadId, userId)
    this.refresh(threadId)
  }

  async remove(threadId: string, userId: string): Promise<void> {
    const mls = await this.#encrypting(threadId)
    await (mls ?? this.#client).removeParticipant(threadId, userId)
    this.refresh(threadId)
  }

  async #encrypting(threadId: string): Promise<Encryption | undefined> {
    const mls = await this.#opened()
    return (await mls?.standing(threadId))?.state === 'in' ? mls : undefined
  }

  /** What a message says. What is not known yet is loaded, and the page is told. */
  contentOf(message: Written): Content {
    const { ciphertext } = message
    if (!isSealed(ciphertext)) return { kind: 'plain', text: plainOf(ciphertext) }
    const revealed = this.#mls?.reveal(message)
    if (revealed && 'text' in revealed) return { kind: 'text', text: revealed.text, ...(revealed.again ? { again: true } : {}) }
    if (revealed) return { kind: 'locked', text: WHY[revealed.why], ...(LOST.includes(revealed.why) ? { lost: true } : {}) }
    if (this.#readiness === 'elsewhere') return { kind: 'locked', text: 'Encrypted: the keys are in use in another tab' }
    if (this.#readiness === 'failed') return { kind: 'locked', text: 'Encrypted: it cannot be read here' }
    if (this.#unknown.has(ciphertext)) return { kind: 'locked', text: 'Encrypted: not readable on this device yet' }
    this.#want(message)
    return { kind: 'waiting', text: 'Decrypting…' }
  }

  /** The text of a message, '' if it cannot be read. */
  async textOf(message: Written): Promise<string> {
    if (!isSealed(message.ciphertext)) return plainOf(message.ciphertext)
    const revealed = await this.#mls?.load(message)
    return revealed && 'text' in revealed ? revealed.text : ''
  }

  #want(message: Written): void {
    if (!this.#mls || this.#wanted.has(message.ciphertext)) return
    this.#wanted.set(message.ciphertext, message)
    if (this.#wanted.size === 1) setTimeout(() => void this.#load(this.#mls))
  }

  async #load(mls: Encryption | undefined): Promise<void> {
    const synced = new Set<string>()
    for (const [ciphertext, message] of this.#wanted) {
      let revealed = await mls?.load(message).catch(() => undefined)
      if (mls && !revealed && !synced.has(message.thread_id)) {
        synced.add(message.thread_id)
        await mls.sync(message.thread_id).catch(() => {})
        revealed = await mls.load(message).catch(() => undefined)
      }
      if (mls && !revealed) this.#unknown.add(ciphertext)
    }
    this.#wanted.clear()
    this.#changed()
  }

  /** Asks those who can read these messages to send them again. */
  askAgain(threadId: string, ids: string[]): Promise<void> {
    return this.resending.ask(this.#need(), threadId, ids)
  }

  /** Sends a device the texts that it asks for, or does not. */
  answer(threadId: string, asking: Asking, give: boolean): Promise<void> {
    return this.resending.answer(this.#need(), threadId, asking, give)
  }

  /** Begins another encryption in a conversation that nobody lets this device into. */
  async beginAnew(threadId: string): Promise<void> {
    await this.#need().beginAnew(threadId)
    await this.#ask(threadId)
    this.refresh(threadId)
  }

  /** What can be seen of a ciphertext without its key. */
  inspect(ciphertext: string): Seen | undefined {
    return this.#module?.inspect(ciphertext)
  }

  /** The number that this person and another one compare; undefined while one of them has no device in it. */
  async safetyNumber(threadId: string, userId: string): Promise<string | undefined> {
    const mls = await this.#opened()
    if (!mls) return undefined
    const { state, without } = await mls.standing(threadId)
    return state === 'in' && !without.includes(userId) ? mls.safetyNumber(threadId, userId) : undefined
  }

  /** The number that was compared with a person, in this conversation. */
  comparedWith = (threadId: string, userId: string): string | undefined => localStorage.getItem(this.#comparison(threadId, userId)) ?? undefined
  #comparison = (threadId: string, userId: string): string => kept(this.#client.userId, 'compared', threadId, userId)

  /** The person says that the other one sees the same number. */
  compared(threadId: string, userId: string, number: string): void {
    localStorage.setItem(this.#comparison(threadId, userId), number)
    this.noted(threadId, userId)
    this.refresh(threadId)
  }

  /** Tells of devices that are others than before. One that came into several conversations is told of once. */
  #watchDevices(mls: Encryption): void {
    const told = new Set<string>()
    mls.events.on('identity_changed', ({ userId }) =>
      this.#tell(`${userId === this.#client.userId ? 'One of your devices' : `A device of ${nameOf(userId)}`} has a new key. Compare your safety numbers.`))
    mls.events.on('device_added', ({ threadId, device }) => {
      this.#note(threadId, [...this.#addedTo(threadId).filter((other) => !isSame(other, device)), device])
      const name = `${device.userId}/${device.deviceId}`
      const own = device.userId === this.#client.userId
      const news = `${own ? 'You have' : `${nameOf(device.userId)} has`} a new device: ${device.deviceId}.`
      if (!told.has(name)) this.#tell(own ? news : `${news} Compare your safety numbers.`)
      told.add(name)
    })
  }

  #addition = (threadId: string): string => kept(this.#client.userId, 'added', threadId)
  #addedTo = (threadId: string): Device[] => JSON.parse(localStorage.getItem(this.#addition(threadId)) ?? '[]') as Device[]

  /** The person has taken note of the devices that came to somebody. */
  noted(threadId: string, userId: string): void {
    this.#note(threadId, this.#addedTo(threadId).filter((device) => device.userId !== userId))
  }

  #note(threadId: string, added: readonly Device[]): void {
    if (added.length > 0) localStorage.setItem(this.#addition(threadId), JSON.stringify(added))
    else localStorage.removeItem(this.#addition(threadId))
    this.#changed()
  }

  async #checkNumbers(threadId: string): Promise<void> {
    const changed: string[] = []
    for (const { user_id } of this.#client.thread(threadId).view.getSnapshot().participants) {
      const before = this.comparedWith(threadId, user_id)
      const now = before && (await this.safetyNumber(threadId, user_id))
      if (now && now !== before) changed.push(user_id)
    }
    if (changed.join() === (this.#numbersChanged.get(threadId) ?? []).join()) return
    this.#numbersChanged.set(threadId, changed)
    this.#changed()
  }
}

const isSame = (a: Device, b: Device): boolean => a.userId === b.userId && a.deviceId === b.deviceId

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** How a message of MLS begins: version 1, and a private message (RFC 9420, 6). */
const SEALED = toBase64(Uint8Array.of(0, 1, 0, 2)).slice(0, 5)
const isSealed = (ciphertext: string): boolean => ciphertext.startsWith(SEALED)

/** The text of a message that is not encrypted; somebody else's may be no text at all. */
function plainOf(ciphertext: string): string {
  try {
    return decodeText(ciphertext)
  } catch {
    return '(not a text)'
  }
}
