import {
  createApplicationMessage, emptyPskIndex, encodeMlsMessage, processPrivateMessage, zeroOutUint8Array,
  type CiphersuiteImpl, type ClientState, type PrivateMessage,
} from 'ts-mls'
import { fromBase64, toBase64 } from '../bytes.js'
import type { Client } from '../client.js'
import { ProblemError } from '../rest.js'
import type { Message, ThreadEvent, ThreadWithParticipants } from '../types.js'
import { decodePrivate, encodePrivate } from './envelope.js'
import { isRefused, type Group } from './group.js'
import { concat, nameOf, sameBytes, type Device } from './identity.js'
import { decodeMls, leavesOf } from './leaves.js'
import { ASKED, encodeGiven, encodeRequest, parseGiven, parseRequest, type AnswerRequest, type AskRequest, type Given } from './requests.js'
import type { SecretChanges, SecretStore } from './secrets.js'
import { signerOf, type Signer } from './signer.js'
import type { Revealed, Texts } from './texts.js'

/** Another device's ask for texts that this one has. */
export interface Ask {
  id: string
  device: Device
  /** The messages whose texts this device may give. */
  messages: string[]
}

/** So long an ask stands, and so long the server keeps it and its answers. */
const STANDS_SECONDS = 7 * 24 * 3600

/** Asks of others that wait: in a thread, and in all. */
const ASKS_IN_THREAD = 20
const ASKS_IN_ALL = 200

/** Asks of this device that wait in a thread. An older one could still be answered. */
const OWN_ASKS = 30

/** The texts of one control message: with them it has less than 64 KiB, above which frames do not show it. */
const PART_BYTES = 40 * 1024
/** A longer text goes alone, in a control message of less than 128 KiB. One that is longer than this is not sent again. */
const TEXT_BYTES = 90 * 1024

/** So many receipts are asked for side by side. */
const SIDE_BY_SIDE = 8

/** So many times it is remembered whether a message was sent to somebody. */
const REMEMBERED = 10_000

/** What the private control messages are marked with: none of them is taken for a text, and no text for one of them. */
const MARK = new TextEncoder().encode('parley again 1')

/** An ask of this device. */
interface OwnAsk {
  id: string
  privateKey: Uint8Array
  until: number
  wanted: { id: string; sender: string }[]
}

/** An ask of another device. */
interface TheirAsk extends Ask, Signer {
  until: number
}

/** What is kept of a thread. */
interface Kept {
  own: OwnAsk[]
  asks: TheirAsk[]
  /** Control messages on their way out, by the keys that they are sent with. */
  out: string[]
}

/** A control message on its way out. Its MLS key is used up: it is sent as it is, however often. */
interface Parcel {
  key: string
  clientSeq: number
  ciphertext: string
  ttlSeconds: number
  /** The own ask that it is. */
  ask?: string
}

/** What is under way of control messages that are made. */
interface Making {
  state: ClientState
  changes: Map<string, unknown>
  kept: Kept
  /** Keys to be overwritten once the changes are kept: until then they are those of the state before, too. */
  used: Uint8Array[]
}

/** What it needs of its device. */
export interface AgainHome {
  client: Client
  secrets: SecretStore
  texts: Texts
  cs: CiphersuiteImpl
  device: Device
  group(threadId: string): Group
  /** Which asks of a thread this device could answer may have changed. */
  asked(threadId: string): void
  failed(error: unknown): void
}

/** What a text could be given for. */
type May = (id: string) => boolean

/**
 * Asks those who have them for texts that this device cannot read, and answers such asks when its person
 * agrees. An ask and its answers are private messages of the group, in control messages without an epoch.
 * What is given is sealed to a key of the ask: others in the group may be there since later, and do not
 * read it.
 */
export class Again {
  /** Threads of which something is kept, with the number of asks in them. It is changed in place: what is written last is right. */
  #threads: Promise<Map<string, number>> | undefined
  #sending = new Map<string, Promise<void>>()
  /** Whether messages were sent to people, where that cannot change any more. */
  #sentTo = new Map<string, boolean>()
  #closed = false

  constructor(private home: AgainHome) {}

  /** Nothing is sent after it. It resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#sending.values()].map((sending) => sending.catch(() => {})))
  }

  /** Asks for these messages, those of them that this device has tried to read: for 2,000 at most. */
  async askAgain(threadId: string, ids: string[]): Promise<void> {
    const senders = new Map((await inTurns([...new Set(ids)], (id) => this.#message(threadId, id))).flatMap((m) => (m ? [[m.id, m.sender_id]] : [])))
    await this.#make(threadId, async (making) => {
      const { kept, changes } = making
      const wanted: OwnAsk['wanted'] = []
      for (const [id, sender] of senders) if (isLost((await this.home.texts.of(changes, id))?.revealed)) wanted.push({ id, sender })
      for (let at = 0; at < Math.min(wanted.length, ASKS_IN_THREAD * ASKED); at += ASKED) {
        const { own, request } = await this.#newAsk(wanted.slice(at, at + ASKED))
        kept.own.push(own)
        await this.#seal(request, making)
      }
      kept.own = kept.own.slice(-OWN_ASKS)
    })
    await this.flush(threadId)
  }

  /** The messages that this device has asked for and cannot read yet. */
  async waitingFor(threadId: string): Promise<string[]> {
    const waiting = new Set<string>()
    await this.home.group(threadId).use(async (_, changes) => {
      for (const own of (await this.#kept(threadId, changes)).own) for (const { id } of await this.#open(own, changes)) waiting.add(id)
    })
    return [...waiting]
  }

  /** The asks of others that this device could answer. The server says to whom it may. */
  async asks(threadId: string): Promise<Ask[]> {
    const all: TheirAsk[] = []
    await this.home.group(threadId).use(async (state, changes) => {
      for (const ask of (await this.#kept(threadId, changes)).asks) if (isThere(ask, state)) all.push(ask)
    })
    const asks: Ask[] = []
    for (const { id, device, messages } of all) {
      const may = await this.#may(threadId, device, messages)
      const has = async (message: string) => may(message) && (await this.#giftOf(threadId, device, message, new Map()))
      const given = await inTurns(messages, async (message) => ((await has(message)) ? [message] : []))
      if (given.flat().length > 0) asks.push({ id, device, messages: given.flat() })
    }
    return asks
  }

  /** Sends the texts of an ask again, or drops it. One that is not there any more changes nothing. */
  async answer(threadId: string, askId: string, give: boolean): Promise<void> {
    const group = this.home.group(threadId)
    let ask: TheirAsk | undefined
    await group.use(async (_, changes) => {
      const kept = await this.#kept(threadId, changes)
      ask = kept.asks.find(({ id }) => id === askId)
      if (ask && !give) await this.#keep(threadId, without(kept, askId), changes)
    })
    if (!ask) return
    if (!give) return this.home.asked(threadId)
    const may = await this.#may(threadId, ask.device, ask.messages)
    await this.#make(threadId, async (making) => {
      const { kept, changes } = making
      const there = kept.asks.find(({ id }) => id === askId)
      if (!there) return
      const parts = isThere(there, making.state) ? await this.#parts(threadId, there, may, changes) : []
      for (const given of parts) {
        const request = await this.#sealed(threadId, there, given)
        if (request) await this.#seal(request, making)
      }
      making.kept = without(kept, askId)
    })
    this.home.asked(threadId)
    await this.flush(threadId)
  }

  /** Takes in a control message that has no epoch: the state behind it. One that is broken or of no use to this device changes nothing. */
  async take(event: ThreadEvent & { t: 'msg' }, state: ClientState, changes: Map<string, unknown>): Promise<ClientState> {
    const { device, cs } = this.home
    const threadId = event.thread_id
    if (event.sender_id === device.userId && event.device_id === device.deviceId) return state
    const message = privateOf(await this.#bytes(event, changes), state)
    if (!message) return state
    const opened = await processPrivateMessage(state, message, emptyPskIndex, cs).catch(() => undefined)
    if (opened?.kind !== 'applicationMessage') return state
    const signer = await signerOf(message, state, cs)
    const request = parseRequest(opened.message)
    if (!request || !signer || !isThere(signer, state)) return opened.newState
    if ('ask' in request) await this.#asked(threadId, request, signer, Date.parse(event.created_at), changes)
    else await this.#answered(threadId, request, signer.device, changes)
    return opened.newState
  }

  /** Sends what is on its way out, of before a restart too. What the server refuses is dropped; the rest waits while it is away. */
  flush(threadId: string): Promise<void> {
    const sending = (this.#sending.get(threadId) ?? Promise.resolve()).catch(() => {}).then(() => this.#flush(threadId))
    this.#sending.set(threadId, sending)
    return sending
  }

  /** Goes on with all that is kept, when the server is there. What is too old goes. */
  async resume(): Promise<void> {
    for (const threadId of [...(await this.#index()).keys()]) {
      if (this.#closed) return
      try {
        await this.home.group(threadId).use(async (_, changes) => this.#keep(threadId, await this.#kept(threadId, changes), changes))
        this.home.asked(threadId)
        await this.flush(threadId)
      } catch (error) {
        this.home.failed(error)
      }
    }
  }

  /** A message was deleted: the asks that name it ask for less. */
  async deleted(threadId: string, id: string): Promise<void> {
    if ((await this.#kept(threadId, new Map())).asks.some(({ messages }) => messages.includes(id))) this.home.asked(threadId)
  }

  /** What is kept of a thread, without what is too old. */
  async #kept(threadId: string, changes: SecretChanges): Promise<Kept> {
    const key = keptKey(threadId)
    const stored = (changes.has(key) ? changes.get(key) : await this.home.secrets.get(key)) as Kept | undefined
    const { own, asks, out } = stored ?? { own: [], asks: [], out: [] }
    const stands = ({ until }: { until: number }) => until > Date.now()
    return { own: own.filter(stands), asks: asks.filter(stands), out: [...out] }
  }

  /** Keeps it in the changes; an ask of which nothing is open any more goes, and its key with it. */
  async #keep(threadId: string, kept: Kept, changes: Map<string, unknown>): Promise<void> {
    const own: OwnAsk[] = []
    for (const ask of kept.own) if ((await this.#open(ask, changes)).length > 0) own.push(ask)
    const threads = await this.#index()
    const empty = own.length + kept.asks.length + kept.out.length === 0
    if (empty) threads.delete(threadId)
    else threads.set(threadId, kept.asks.length)
    changes.set(keptKey(threadId), empty ? undefined : { ...kept, own }).set(INDEX, threads)
  }

  #index(): Promise<Map<string, number>> {
    return (this.#threads ??= this.home.secrets.get<Map<string, number>>(INDEX).then((threads) => threads ?? new Map()))
  }

  /** What of an own ask can still be answered. */
  async #open({ wanted }: OwnAsk, changes: SecretChanges): Promise<OwnAsk['wanted']> {
    const open: OwnAsk['wanted'] = []
    for (const want of wanted) if (isLost((await this.home.texts.of(changes, want.id))?.revealed)) open.push(want)
    return open
  }

  async #newAsk(wanted: OwnAsk['wanted']): Promise<{ own: OwnAsk; request: AskRequest }> {
    const { hpke } = this.home.cs
    const pair = await hpke.generateKeyPair()
    const key = toBase64(await hpke.exportPublicKey(pair.publicKey))
    const own = { id: key, privateKey: await hpke.exportPrivateKey(pair.privateKey), until: Date.now() + STANDS_SECONDS * 1000, wanted }
    return { own, request: { ask: wanted.map(({ id }) => id), key } }
  }

  /** Makes control messages for those who are in the group now. They are kept in one write, with what else that changes. */
  async #make(threadId: string, work: (making: Making) => Promise<void>): Promise<void> {
    let used: Uint8Array[] = []
    await this.home.group(threadId).use(async (state, changes) => {
      const making: Making = { state: state!, changes, kept: await this.#kept(threadId, changes), used: [] }
      await work(making)
      await this.#keep(threadId, making.kept, changes)
      used = making.used
      return making.state
    }, true)
    used.forEach(zeroOutUint8Array)
  }

  /** Makes a control message. It may be sent once the changes are kept: its key is used up then. */
  async #seal(request: AskRequest | AnswerRequest, making: Making): Promise<void> {
    const { newState, privateMessage, consumed } = await createApplicationMessage(making.state, encodeRequest(request), this.home.cs, MARK)
    const message = encodeMlsMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage })
    const parcel: Parcel = {
      key: crypto.randomUUID(), clientSeq: this.home.client.nextClientSeq(), ciphertext: toBase64(encodePrivate(message)), ttlSeconds: STANDS_SECONDS,
      ...('ask' in request ? { ask: request.key } : {}),
    }
    making.changes.set(parcelKey(parcel.key), parcel)
    making.kept.out.push(parcel.key)
    making.used.push(...consumed)
    making.state = newState
  }

  async #flush(threadId: string): Promise<void> {
    const { client, secrets } = this.home
    for (;;) {
      const [key] = (await this.#kept(threadId, new Map())).out
      if (key === undefined || !client.online || this.#closed) return
      const parcel = await secrets.get<Parcel>(parcelKey(key))
      let refused: unknown
      if (parcel) {
        try {
          await client.sendControl(threadId, parcel)
        } catch (error) {
          if (!isRefused(error)) return // it goes with what is sent next, or when the connection is there again
          refused = error
        }
      }
      await this.home.group(threadId).use(async (_, changes) => {
        const kept = await this.#kept(threadId, changes)
        kept.out = kept.out.filter((other) => other !== key)
        if (refused) kept.own = kept.own.filter(({ id }) => id !== parcel?.ask)
        await this.#keep(threadId, kept, changes.set(parcelKey(key), undefined))
      })
      if (refused) throw refused
    }
  }

  /** The content of a control message. One that is too large for a frame is read only by who waits for an answer. */
  async #bytes(event: ThreadEvent & { t: 'msg' }, changes: SecretChanges): Promise<Uint8Array> {
    if (!event.omitted) return fromBase64(event.ciphertext)
    if ((await this.#kept(event.thread_id, changes)).own.length === 0) return new Uint8Array()
    const message = await this.#get(event.id)
    return fromBase64(message?.ciphertext ?? '')
  }

  async #asked(threadId: string, { ask, key }: AskRequest, signer: Signer, at: number, changes: Map<string, unknown>) {
    const { device, publicKey } = signer
    const until = Math.min(at, Date.now()) + STANDS_SECONDS * 1000
    const messages = (await inTurns(ask, async (id) => ((await this.#giftOf(threadId, device, id, changes)) ? [id] : []))).flat()
    const kept = await this.#kept(threadId, changes)
    if (!(until > Date.now()) || messages.length === 0 || kept.asks.some(({ id }) => id === key)) return
    // The newest ask of a device is the one that counts for a message.
    kept.asks = lessOf(kept.asks, messages, (other) => nameOf(other.device) === nameOf(device))
    if (kept.asks.length >= ASKS_IN_THREAD) {
      const oldest = kept.asks.findIndex((other) => nameOf(other.device) === nameOf(device))
      kept.asks = kept.asks.toSpliced(Math.max(oldest, 0), 1)
    }
    let elsewhere = 0
    for (const [id, n] of await this.#index()) if (id !== threadId) elsewhere += n
    if (elsewhere + kept.asks.length >= ASKS_IN_ALL) return
    kept.asks.push({ id: key, device, publicKey, until, messages })
    await this.#keep(threadId, kept, changes)
    this.home.asked(threadId)
  }

  async #answered(threadId: string, { answers, of, sealed }: AnswerRequest, signer: Device, changes: Map<string, unknown>): Promise<void> {
    const kept = await this.#kept(threadId, changes)
    const own = kept.own.find(({ id }) => id === answers)
    if (own) {
      const given = await this.#unsealed(threadId, own, sealed)
      if (!given) return
      for (const { id, hash, text, by = signer.userId } of given) {
        const sender = own.wanted.find((want) => want.id === id)?.sender
        const now = await this.home.texts.of(changes, id)
        if (by !== sender || (signer.userId !== sender && signer.userId !== this.home.device.userId)) continue
        if (now?.hash === hash && isLost(now.revealed)) this.home.texts.found(changes, hash, { text, by, thread: threadId, again: true })
      }
    } else {
      // Another device of the same user has given these: there is nothing to add.
      if (signer.userId !== this.home.device.userId || !kept.asks.some(({ id }) => id === answers)) return
      kept.asks = lessOf(kept.asks, of, ({ id }) => id === answers)
      this.home.asked(threadId)
    }
    await this.#keep(threadId, kept, changes)
  }

  /** The lists of what is given for an ask, each for a control message. */
  async #parts(threadId: string, ask: TheirAsk, may: May, changes: SecretChanges): Promise<Given[][]> {
    const parts: Given[][] = []
    let size = Infinity
    for (const id of ask.messages) {
      const given = may(id) && (await this.#giftOf(threadId, ask.device, id, changes))
      if (!given) continue
      const bytes = sizeOf(given)
      if (size + bytes > PART_BYTES) {
        parts.push([])
        size = 0
      }
      parts.at(-1)!.push(given)
      size += bytes
    }
    return parts
  }

  /** What this device could give of a message: to another of its user all that it can read, to others what its user has written. */
  async #giftOf(threadId: string, asker: Device, id: string, changes: SecretChanges): Promise<Given | undefined> {
    const now = await this.home.texts.of(changes, id)
    if (!now?.revealed || !('text' in now.revealed)) return undefined
    const { text, by, thread } = now.revealed
    const { userId } = this.home.device
    if (by === undefined || thread !== threadId || (by !== userId && asker.userId !== userId)) return undefined
    const given: Given = { id, hash: now.hash, text, ...(asker.userId === userId ? { by } : {}) }
    return sizeOf(given) <= TEXT_BYTES ? given : undefined
  }

  /**
   * Which of these messages a device may have: all, if it is of the same user; else those that this user
   * sent to that one, and that one sees. Whoever came into the thread later, or comes back, does not.
   */
  async #may(threadId: string, asker: Device, ids: string[]): Promise<May> {
    if (asker.userId === this.home.device.userId) return () => true
    const { participants } = await this.home.client.rest.get<ThreadWithParticipants>(`/v1/threads/${threadId}`)
    const joined = participants.find(({ user_id }) => user_id === asker.userId)?.joined_at
    if (joined === undefined) return () => false
    const may = await inTurns(ids, async (id) => {
      if (!(await this.#wasSentTo(id, asker.userId))) return []
      const message = await this.#message(threadId, id)
      return message?.sender_id === this.home.device.userId && Date.parse(joined) <= Date.parse(message.created_at) ? [id] : []
    })
    const allowed = new Set(may.flat())
    return (id) => allowed.has(id)
  }

  async #wasSentTo(id: string, userId: string): Promise<boolean> {
    const key = `${id}/${userId}`
    const known = this.#sentTo.get(key)
    if (known !== undefined) return known
    const receipts = await this.home.client.receipts(id).catch(noneIfGone)
    const state = receipts?.states.find(({ recipient_id }) => recipient_id === userId)?.state
    const sent = state !== undefined && state !== 'FAILED'
    if (this.#sentTo.size >= REMEMBERED) this.#sentTo.clear()
    // Who was in the thread when it was sent has a receipt, and nobody else ever gets one. A failed one may be tried again.
    if (receipts && state !== 'FAILED') this.#sentTo.set(key, sent)
    return sent
  }

  /** A message of the thread that people can read, as the log here or the server has it. */
  async #message(threadId: string, id: string): Promise<Message | undefined> {
    const known = this.home.client.thread(threadId).view.getSnapshot().messages.find((message) => message.id === id)
    const message = known ?? (await this.#get(id))
    return message?.thread_id === threadId && !message.deleted && message.content_type !== 'control' ? message : undefined
  }

  #get(id: string): Promise<Message | undefined> {
    return this.home.client.rest.get<Message>(`/v1/messages/${encodeURIComponent(id)}`).catch(noneIfGone)
  }

  /** Undefined for an ask whose key is none. */
  async #sealed(threadId: string, ask: TheirAsk, given: Given[]): Promise<AnswerRequest | undefined> {
    const { hpke } = this.home.cs
    try {
      const key = await hpke.importPublicKey(fromBase64(ask.id))
      const { enc, ct } = await hpke.seal(key, encodeGiven(given), purpose(threadId, ask.id, ask.device))
      return { answers: ask.id, of: given.map(({ id }) => id), sealed: concat(enc, ct) }
    } catch {
      return undefined
    }
  }

  async #unsealed(threadId: string, ask: OwnAsk, sealed: Uint8Array): Promise<Given[] | undefined> {
    const { hpke } = this.home.cs
    try {
      const key = await hpke.importPrivateKey(ask.privateKey)
      return parseGiven(await hpke.open(key, sealed.subarray(0, ENC_BYTES), sealed.subarray(ENC_BYTES), purpose(threadId, ask.id, this.home.device)))
    } catch {
      return undefined // broken, or for somebody else
    }
  }
}

/** What HPKE puts before a ciphertext with X25519. */
const ENC_BYTES = 32

const INDEX = 'again'
const keptKey = (threadId: string): string => `again/${threadId}`
const parcelKey = (key: string): string => `again/out/${key}`

/** What a list is sealed for: in no other ask is it opened. */
const purpose = (threadId: string, askId: string, asker: Device): Uint8Array =>
  new TextEncoder().encode(`parley again 1\n${threadId}\n${askId}\n${nameOf(asker)}`)

/** Another device could know what it says. */
const isLost = (revealed: Revealed | undefined): boolean =>
  revealed !== undefined && 'why' in revealed && (revealed.why === 'before_joining' || revealed.why === 'no_key')

/** A device is in the group, as the installation that it was. */
const isThere = ({ device, publicKey }: Signer, state: ClientState | undefined): boolean =>
  state !== undefined && leavesOf(state).some((leaf) => nameOf(leaf.device) === nameOf(device) && sameBytes(leaf.leaf.signaturePublicKey, publicKey))

const without = (kept: Kept, askId: string): Kept => ({ ...kept, asks: kept.asks.filter(({ id }) => id !== askId) })

/** Some of the asks without these messages; one without any goes. */
function lessOf(asks: TheirAsk[], messages: string[], some: (ask: TheirAsk) => boolean): TheirAsk[] {
  const less = asks.map((ask) => (some(ask) ? { ...ask, messages: ask.messages.filter((id) => !messages.includes(id)) } : ask))
  return less.filter((ask) => ask.messages.length > 0)
}

const sizeOf = (given: Given): number => encodeGiven([given]).length

/** A private message of this group about texts that are sent again. */
function privateOf(bytes: Uint8Array, { groupContext }: ClientState): PrivateMessage | undefined {
  const encoded = decodePrivate(bytes)
  const message = encoded && decodeMls(encoded)
  if (message?.wireformat !== 'mls_private_message') return undefined
  const { contentType, groupId, authenticatedData } = message.privateMessage
  return contentType === 'application' && sameBytes(groupId, groupContext.groupId) && sameBytes(authenticatedData, MARK) ? message.privateMessage : undefined
}

/** Does something for each, a few at a time, and gives what comes of it in their order. */
async function inTurns<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    for (let at = next++; at < all.length; at = next++) results[at] = await work(all[at]!)
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker))
  return results
}

/** The server has no such message for this user. */
function noneIfGone(error: unknown): undefined {
  if (error instanceof ProblemError && (error.status === 403 || error.status === 404)) return undefined
  throw error
}
