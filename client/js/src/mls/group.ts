import { createApplicationMessage, createGroup, encodeGroupState, encodeMlsMessage, zeroOutUint8Array, type CiphersuiteImpl, type ClientConfig, type ClientState, type Proposal } from 'ts-mls'
import { toBase64 } from '../bytes.js'
import type { Client } from '../client.js'
import { ProblemError } from '../rest.js'
import type { EventPage, ThreadEvent, ThreadWithParticipants } from '../types.js'
import type { Again } from './again.js'
import { makeCommit, type Made } from './commit.js'
import type { Standing } from './encryption.js'
import { decodeKeyPackage, hex, nameOf, type Device } from './identity.js'
import type { KeyRing } from './keyring.js'
import { leavesOf } from './leaves.js'
import type { Membership, Proposed } from './membership.js'
import { decodeState, groupIdOf, placeOf, recordOf, type GroupRecord, type Pending, type Standpoint } from './record.js'
import type { SecretStore } from './secrets.js'
import type { Texts } from './texts.js'
import { Walk, type Effects } from './walk.js'

/** What a group needs of its device. */
export interface GroupHome {
  client: Client
  secrets: SecretStore
  texts: Texts
  cs: CiphersuiteImpl
  config: ClientConfig
  device: Device
  ring: KeyRing
  membership: Membership
  again: Again
  /** A group's log went on. */
  moved(threadId: string): void
  /** The device is in another group of the thread than before: who is to be in that is looked at soon. */
  tend(threadId: string): void
  /** The device has to be let into a group. */
  ask(threadId: string): void
  /** A device has come into the group to another of the same person. */
  added(threadId: string, device: Device): void
}

/** The device is in no group of that thread, and another one has begun it: a member has to let it in. */
export class NotInGroup extends Error {
  override name = 'NotInGroup'
  constructor(threadId: string) {
    super(`this device is not in the group of thread ${threadId} yet`)
  }
}

/** So often a commit is made anew when another one is faster. */
const REBASES = 20

/** A device's leaf is replaced once in that time, however often the device asks. */
const RENEW_MS = 10 * 60_000

/** A device that was let in may ask for it once more before it has read that. */
const COMES_MS = 30_000

/**
 * The MLS group of one thread. Its state moves along the thread's log, event by event, so every device
 * has the same at the same event. A commit is a control message with an epoch, of which the server
 * takes one: who loses reads the winner's and begins again.
 */
export class Group {
  #record: GroupRecord | undefined
  #state: ClientState | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #stale = true
  /** The log was not asked for since the start, or since the server has another store: frames do not tell where they belong. */
  #unasked = true
  #closed = false
  #walk: Walk
  /** Devices that asked to be let in anew, with the key of the leaf that each had then. */
  #renew = new Map<string, string>()
  /** When devices were seen to come into the group, by this device's clock. */
  #came = new Map<string, number>()
  /** When devices were seen to have new leaves, and people without a leaf were looked at, by this device's clock. */
  #renewed = new Map<string, number>()

  constructor(private home: GroupHome, readonly threadId: string) {
    this.#walk = new Walk(home, threadId)
  }

  /** Who is in it may have changed: the next message looks before it is sent. */
  changed(): void {
    this.#stale = true
  }

  /** The server has another store: its log begins anew. */
  restored(): void {
    this.#unasked = true
  }

  /** Takes in what the thread's log has. */
  advance(frame?: ThreadEvent): Promise<void> {
    return this.#inTurn(() => this.#advance(frame))
  }

  /** The leaves of the group: each device with its signature key. Empty while this device is in no group. */
  members(): Promise<{ device: Device; publicKey: Uint8Array }[]> {
    return this.#inTurn(async () => {
      await this.#load()
      return this.#state ? leavesOf(this.#state).map(({ device, leaf }) => ({ device, publicKey: leaf.signaturePublicKey })) : []
    })
  }

  /** Makes a message for those who are in the thread now, and lets in or out whom that takes first. */
  encrypt(text: string): Promise<string> {
    return this.#inTurn(async () => {
      await this.#refresh()
      if (!this.#state || this.#record!.behind) throw new NotInGroup(this.threadId)
      const { newState, privateMessage, consumed } = await createApplicationMessage(this.#state, new TextEncoder().encode(text), this.home.cs)
      const ciphertext = toBase64(encodeMlsMessage({ version: 'mls10', wireformat: 'mls_private_message', privateMessage }))
      // The key is used up before the message can leave: none is ever used twice.
      const changes = new Map<string, unknown>()
      await this.home.texts.keep(changes, ciphertext, { text, by: this.home.device.userId, thread: this.threadId })
      await this.#write({ ...this.#record!, state: encodeGroupState(newState) }, newState, changes)
      consumed.forEach(zeroOutUint8Array)
      return ciphertext
    })
  }

  /**
   * Does something with the group's state in its turn. The changes that it makes and the state that it
   * returns, if any, are kept in one write. For `present` the group is brought to where the thread is
   * first, and the device has to be in it.
   */
  use(work: (state: ClientState | undefined, changes: Map<string, unknown>) => Promise<ClientState | void>, present = false): Promise<void> {
    return this.#inTurn(async () => {
      await this.#load()
      if (present) {
        if (!this.#state) await this.#advance()
        if (this.#state) await this.#refresh()
        if (!this.#state || this.#record!.behind) throw new NotInGroup(this.threadId)
      }
      const changes = new Map<string, unknown>()
      const state = await work(this.#state, changes)
      if (state) await this.#write({ ...this.#record!, state: encodeGroupState(state) }, state, changes)
      else if (changes.size > 0) await this.home.secrets.write(changes)
    })
  }

  /** Has the group be those who are in the thread, each with all devices that have keys. It begins one if there is none. */
  reconcile(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#advance()
      await this.#reconcile()
    })
  }

  /** Does so for a group that this device is in, and begins none. */
  keep(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#advance()
      if (this.#state && !this.#left) await this.#reconcile()
    })
  }

  /**
   * A device says that it cannot use the leaf that it may have in a group; see asks. The next keep replaces
   * it in one commit: that leaf and no other, and not if a leaf of the device was replaced a while ago.
   */
  asked(device: Device, ask: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#load()
      const name = nameOf(device)
      if (!this.#state || name === nameOf(this.home.device)) return
      if (ask !== '' && ask !== askFor(placeOf(this.#state, this.threadId).group)) return
      const own = leavesOf(this.#state).find((one) => nameOf(one.device) === name)
      if (own && ask === '' && Date.now() - (this.#came.get(name) ?? -Infinity) < COMES_MS) return
      const whose = own ? name : device.userId
      if (Date.now() - (this.#renewed.get(whose) ?? -Infinity) < RENEW_MS) return
      if (own) this.#renew.set(name, hex(own.leaf.hpkePublicKey))
      else {
        // Somebody has let it out: its person's devices are looked at, though they are the same as before.
        this.#renewed.set(whose, Date.now())
        this.#record = { ...this.#record!, checked: { ...this.#record!.checked, [whose]: 'asked' } }
        this.home.membership.hear(whose)
      }
      this.#stale = true
    })
  }

  /**
   * Begins a new group in a thread whose group cannot let this device in. Who is let into it leaves the
   * older one. If somebody else begins one at the same time and lets this device in, that is it.
   */
  beginAnew(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#load()
      const before = this.#latest
      let proposed: Proposed | undefined
      for (let n = 0; n < REBASES; n++) {
        await this.#advance()
        await this.#resume()
        if (this.#latest > before) return this.#reconcile()
        const { epoch } = await this.home.client.rest.get<ThreadWithParticipants>(`/v1/threads/${this.threadId}`)
        if (!this.#record!.begun && epoch === this.#record!.epoch) return this.#reconcile()
        proposed ??= await this.home.membership.proposals(this.threadId, [], [], '', {})
        if (await this.#beginAt(epoch + 1, proposed)) {
          this.#stale = true
          return this.#reconcile()
        }
      }
      throw new Error(`others were faster ${REBASES} times to change the group of thread ${this.threadId}`)
    })
  }

  standing(): Promise<Standing> {
    return this.#inTurn(async () => {
      await this.#load()
      if (!this.#state || this.#record!.behind) await this.#advance()
      if (this.#state && !this.#record!.behind) return { state: 'in', without: this.#without(this.#state) }
      if (this.#left || this.#record!.behind) return { state: 'outside', without: [] }
      const { epoch, participants } = await this.home.client.rest.get<ThreadWithParticipants>(`/v1/threads/${this.threadId}`)
      if (this.#record!.begun || epoch !== this.#record!.epoch) return { state: 'outside', without: [] }
      const others = participants.filter((p) => p.user_id !== this.home.device.userId)
      return { state: 'none', without: others.filter((p) => !p.devices_at).map((p) => p.user_id) }
    })
  }

  /** What this device asks of others, if it has to be let into a group: into a certain one, or "" for any of the thread. */
  async asks(): Promise<string | undefined> {
    const { state } = await this.standing()
    return this.#inTurn(async () => {
      await this.#load()
      const { later, behind } = this.#record!
      if (this.#left) return undefined
      if (behind && this.#state) return askFor(placeOf(this.#state, this.threadId).group)
      if (!this.#state && state === 'outside') return ''
      if (later !== undefined) return askFor(later)
      return undefined
    })
  }

  /** The user is not in the thread any more: the server says nothing of it. */
  get #left(): boolean {
    return this.home.client.thread(this.threadId).record?.left ?? false
  }

  /** The latest group of the thread in which this device was, or -1. */
  get #latest(): number {
    return this.#record!.top?.group ?? -1
  }

  /** The people of the thread, as the log has them, who have no leaf. */
  #without(state: ClientState): string[] {
    const there = new Set(leavesOf(state).map(({ device }) => device.userId))
    const { participants } = this.home.client.thread(this.threadId).view.getSnapshot()
    return participants.map((p) => p.user_id).filter((user) => !there.has(user))
  }

  /** Nothing begins after it. It resolves when what is under way has ended. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => {
      if (this.#closed) throw new Error('the encryption was closed')
      return work()
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  /**
   * Brings the group to where the thread is. While the server cannot be asked, it stays with those who
   * were in it: what is encrypted for them waits in the outbox.
   */
  async #refresh(): Promise<void> {
    await this.#load()
    if (this.#state && this.#state.groupContext.epoch > 0n && !this.home.client.online) return
    try {
      await this.#advance()
      await this.#reconcile()
    } catch (error) {
      if (!this.#state || this.#state.groupContext.epoch === 0n || !isAway(error)) throw error
    }
  }

  async #load(): Promise<void> {
    if (this.#record) return
    this.#record = (await this.home.secrets.get<GroupRecord>(this.#key)) ?? { seq: 0, epoch: 0 }
    this.#state = decodeState(this.#record.state, this.home.config)
  }

  get #key(): string {
    return `group/${this.threadId}`
  }

  async #write(record: GroupRecord, state: ClientState | undefined, changes = new Map<string, unknown>()): Promise<void> {
    await this.home.secrets.write(changes.set(this.#key, record))
    this.#record = record
    this.#state = state
    this.home.moved(this.threadId)
    if (record.behind || record.later) this.home.ask(this.threadId)
  }

  async #advance(frame?: ThreadEvent): Promise<void> {
    await this.#load()
    if (frame && !this.#unasked) {
      if (frame.seq <= this.#record!.seq) return
      if (frame.seq === this.#record!.seq + 1 && !('omitted' in frame)) return this.#take([frame])
    }
    if (this.#left) return
    for (let since: number | null = this.#record!.seq; since !== null; ) {
      const page: EventPage = await this.home.client.rest.get<EventPage>(`/v1/threads/${this.threadId}/events`, { since_seq: since, page_size: 100 })
      if (await this.#isOfAnother(page.store_id)) since = 0
      else {
        await this.#take(page.events)
        since = page.next_since_seq
      }
    }
    this.#unasked = false
  }

  /** A store that was restored gives the same numbers to other events: what it has is looked at from its beginning. The group's state stays. */
  async #isOfAnother(store: string | undefined): Promise<boolean> {
    const { store: before } = this.#record!
    if (store === undefined || before === store) return false
    this.#stale = true
    if (before === undefined) {
      this.#record = { ...this.#record!, store }
      return false
    }
    await this.#write({ ...this.#record!, store, seq: 0, epoch: 0, pending: undefined, checked: undefined, restored: true, unread: undefined }, this.#state)
    return true
  }

  /** Takes in some events that follow, and keeps what they make of the group in one write. */
  async #take(events: readonly ThreadEvent[]): Promise<void> {
    const effects: Effects = { changes: new Map(), added: [], came: [], renewed: [] }
    const before: Standpoint = { record: this.#record!, state: this.#state }
    let at = before
    for (const event of events) {
      if (event.seq <= at.record.seq) continue
      const { record, state } = await this.#walk.step(event, at, effects)
      at = { record: { ...record, seq: event.seq }, state }
    }
    if (at === before) return
    await this.#write(recordOf(at), at.state, effects.changes)
    if (effects.stale) this.#stale = true
    if (effects.moved) this.home.tend(this.threadId)
    for (const device of effects.came) this.#came.set(nameOf(device), Date.now())
    for (const device of effects.renewed) this.#renewed.set(nameOf(device), Date.now())
    for (const device of effects.added) this.home.added(this.threadId, device)
  }

  /** Commits until nobody has to be let in or out. */
  async #reconcile(): Promise<void> {
    if (this.#record!.behind || (!this.#stale && this.#state)) return
    for (let n = 0; n < REBASES; n++) {
      await this.#resume()
      if (!this.#state && !(await this.#begin())) return
      const begins = this.#state!.groupContext.epoch === 0n // nobody has heard of it
      const { since, checked: before } = this.#record!
      const leaves = leavesOf(this.#state!)
      const renew = leaves.filter(({ device, leaf }) => this.#renew.get(nameOf(device)) === hex(leaf.hpkePublicKey))
      const { proposals, checked } = await this.home.membership.proposals(this.threadId, leaves, renew, since ?? '', before ?? {})
      // A commit may be among what it could not read: one of its own would lead away from the others.
      if (proposals.length > 0 && this.#record!.unread) return this.#write({ ...this.#record!, behind: true }, this.#state)
      if ((proposals.length > 0 || begins) && !(await this.#commitAll(proposals))) continue
      await this.#write({ ...this.#record!, checked }, this.#state)
      this.#stale = false
      this.#renew.clear()
      return
    }
    throw new Error(`others were faster ${REBASES} times to change the group of thread ${this.threadId}`)
  }

  /** Begins the group of a thread that has none. It counts once its first commit is stored. */
  async #begin(): Promise<boolean> {
    const thread = await this.home.client.rest.get<{ epoch: number }>(`/v1/threads/${this.threadId}`)
    const { epoch, begun } = this.#record!
    if (begun || thread.epoch !== epoch) return false // there is one, or may be: this user does not see from where on the epoch rose
    this.#state = await this.#newGroup(0)
    return true
  }

  async #newGroup(group: number): Promise<ClientState> {
    const { cs, config, ring } = this.home
    const own = await ring.firstPackage()
    return createGroup(groupIdOf(this.threadId, group), decodeKeyPackage(own.public)!, own.private, [], cs, config)
  }

  /** Begins a group at that epoch of the thread. It reports false if another one has taken the epoch. */
  async #beginAt(epoch: number, { proposals, checked }: Proposed): Promise<boolean> {
    if (epoch <= this.#latest) throw new Error(`thread ${this.threadId} had a later group before its store was restored`)
    const made = (await makeCommit(await this.#newGroup(epoch), this.home.cs, proposals))!
    if (!(await this.#send(made, epoch)) || this.#latest !== epoch) return false
    if (made.rest.length === 0 || (await this.#commitAll(made.rest))) await this.#write({ ...this.#record!, checked }, this.#state)
    return true
  }

  /** Commits to these, in as many messages as it takes. It reports false if another one was faster, which is taken in then. */
  async #commitAll(proposals: Proposal[]): Promise<boolean> {
    for (let rest = proposals; ; ) {
      const made = await makeCommit(this.#state!, this.home.cs, rest)
      if (!made) return true
      if (!(await this.#send(made))) return false
      if (made.rest.length === 0) return true
      rest = made.rest
    }
  }

  async #send({ state, envelope }: Made, epoch = this.#record!.epoch + 1): Promise<boolean> {
    const pending: Pending = {
      key: crypto.randomUUID(), clientSeq: this.home.client.nextClientSeq(), ciphertext: toBase64(envelope),
      epoch, state: encodeGroupState(state),
    }
    await this.#write({ ...this.#record!, pending }, this.#state)
    await this.#resume()
    return this.#taken === pending.key
  }

  #taken = ''

  /** Brings a commit to its end that is on its way, also one of before a restart. */
  async #resume(): Promise<void> {
    const pending = this.#record!.pending
    if (!pending) return
    try {
      await this.home.client.sendControl(this.threadId, pending)
      this.#taken = pending.key
    } catch (error) {
      if (!isRefused(error)) throw error
      // A group that nobody has seen is dropped; another state follows the winner's commit.
      const begun = this.#state?.groupContext.epoch === 0n
      await this.#write({ ...this.#record!, pending: undefined, ...(begun ? { state: undefined } : {}) }, begun ? undefined : this.#state)
      if (error.code !== 'epoch_conflict') throw error
    }
    await this.#advance()
  }
}

const askFor = (group: number): string => toBase64(new TextEncoder().encode(`${group}`))

/** The same request would be refused again. */
export const isRefused = (error: unknown): error is ProblemError =>
  error instanceof ProblemError && error.status >= 400 && error.status < 500 && ![401, 408, 429].includes(error.status)

/** The server could not be asked: it gave no whole answer, or says that it cannot now. */
function isAway(error: unknown): boolean {
  if (error instanceof ProblemError) return error.status >= 500
  return error instanceof TypeError || error instanceof SyntaxError || (error instanceof DOMException && error.name === 'TimeoutError')
}
