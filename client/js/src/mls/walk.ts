import { emptyPskIndex, processPrivateMessage, type ClientState, type IncomingMessageCallback, type PrivateMessage } from 'ts-mls'
import { addHistoricalReceiverData } from 'ts-mls/clientState.js'
import { unprotectPrivateMessage } from 'ts-mls/messageProtection.js'
import { fromBase64 } from '../bytes.js'
import { ProblemError } from '../rest.js'
import type { Message, ThreadEvent } from '../types.js'
import { decodeEnvelope } from './envelope.js'
import type { GroupHome } from './group.js'
import { decodeKeyPackage, nameOf, sameBytes, type Device } from './identity.js'
import { joinGroup } from './join.js'
import { decodeMls, leavesOf } from './leaves.js'
import { decodeState, entered, groupOf, inStep, isLater, missing, placeOf, type GroupRecord, type Pending, type Standpoint } from './record.js'
import { NotStored } from './secrets.js'
import { signerOf } from './signer.js'
import type { Revealed } from './texts.js'

/** What a stretch of the log does beside moving the standpoint. */
export interface Effects {
  /** What is written with the standpoint. */
  changes: Map<string, unknown>
  /** Who is in the thread or in the group may have changed. */
  stale?: true
  /** This device went from one group of the thread to another. */
  moved?: true
  /** Devices that came into the group to others of the same people. */
  added: Device[]
  /** Devices that came into the group, whoever's they are. */
  came: Device[]
  /** Devices whose leaves were replaced by others. */
  renewed: Device[]
}

/** The way of a group's state along the thread's log, event by event. It writes nothing itself. */
export class Walk {
  constructor(private home: GroupHome, private threadId: string) {}

  /** Where the device stands behind an event that follows where it stood. */
  async step(event: ThreadEvent, at: Standpoint, effects: Effects): Promise<Standpoint> {
    switch (event.t) {
      case 'msg':
        if (event.content_type === 'control') return this.#control(event, at, effects)
        return this.#open(event, at, effects)
      case 'edit':
        return this.#open(event, at, effects)
      case 'del':
        await this.home.texts.forget(effects.changes, event.id)
        break
      case 'thread':
        if (event.event === 'participant_added' || event.event === 'participant_removed') effects.stale = true
        if (event.event === 'participant_added' && event.user_id === this.home.device.userId && at.state) return { ...at, record: { ...at.record, back: true } }
    }
    return at
  }

  /** Decrypts a message, which can be done once: its text is kept. */
  async #open(event: { id: string; ciphertext: string }, at: Standpoint, { changes }: Effects): Promise<Standpoint> {
    const { texts } = this.home
    const { state } = at
    if (event.ciphertext === '') return at // deleted meanwhile
    if (await texts.known(changes, event.ciphertext)) {
      await texts.name(changes, event.id, event.ciphertext)
      return at
    }
    const message = decodeMls(fromBase64(event.ciphertext))
    if (message?.wireformat !== 'mls_private_message' || message.privateMessage.authenticatedData.length > 0) { // with those it is no text, see again.ts
      await texts.keep(changes, event.ciphertext, { why: 'not_encrypted' }, event.id)
      return at
    }
    const { groupId, epoch } = message.privateMessage
    const group = groupOf(groupId, this.threadId) ?? -1
    const present = state ? placeOf(state, this.threadId).group : -1
    if (!state || group !== present) {
      await texts.keep(changes, event.ciphertext, { why: !state || group > present ? 'before_joining' : 'no_key' }, event.id)
      return at
    }
    const above = epoch - state.groupContext.epoch
    const record = above > 0n ? missing(at.record, above) : at.record
    if (above > 0n && !record.behind) return at // the content of a later edit, which comes in its place
    const opened = await this.#decrypt(message.privateMessage, state).catch(() => undefined)
    await texts.keep(changes, event.ciphertext, opened?.revealed ?? { why: 'no_key' }, event.id)
    return { record, state: opened?.state ?? state }
  }

  async #decrypt(message: PrivateMessage, state: ClientState): Promise<{ revealed: Revealed; state: ClientState }> {
    const result = await processPrivateMessage(state, message, emptyPskIndex, this.home.cs)
    if (result.kind !== 'applicationMessage') throw new Error('a handshake in place of a message')
    const by = (await signerOf(message, state, this.home.cs))?.device.userId ?? '' // the server could name another sender
    return { revealed: { text: new TextDecoder().decode(result.message), by, thread: this.threadId }, state: result.newState }
  }

  async #control(event: ThreadEvent & { t: 'msg' }, before: Standpoint, effects: Effects): Promise<Standpoint> {
    if (event.epoch === undefined) { // it has no place among the commits
      return before.state ? { ...before, state: await this.home.again.take(event, before.state, effects.changes) } : before
    }
    const ciphertext = await this.#ciphertextOf(event)
    const at: Standpoint = { ...before, record: { ...unread(before, event.epoch, ciphertext), epoch: event.epoch } }
    const { pending } = at.record
    if (pending && event.epoch === pending.epoch && ciphertext === pending.ciphertext) return this.#own(pending, event.created_at, at, effects)
    const envelope = decodeEnvelope(fromBase64(ciphertext))
    const commit = envelope && this.#commitOf(envelope.commit, event.epoch, at.state)
    if (!envelope || !commit) return at // another protocol's, of a later form, broken, or of no group
    at.record.begun = true
    // Who began the group while another one was faster drops its own: that never was anybody's.
    if (at.state?.groupContext.epoch === 0n && commit.message.epoch === 0n) {
      at.state = undefined
      at.record.pending = undefined
    }
    const { state, record } = at
    const place = state && placeOf(state, this.threadId)
    const free = !place || record.back || record.behind || commit.group > place.group
    const joined = free ? await this.#join(envelope.welcome, commit, event.created_at, at, effects) : undefined
    if (joined) return joined
    if (state && commit.group === place!.group) return this.#follow({ ...commit, welcome: envelope.welcome }, event.created_at, { record, state }, effects)
    if (commit.group > Math.max(place?.group ?? 0, record.later ?? 0)) record.later = commit.group
    return at
  }

  /** What a control message has; "" if nobody is shown that any more. */
  async #ciphertextOf(event: ThreadEvent & { t: 'msg' }): Promise<string> {
    if (!event.omitted) return event.ciphertext
    try {
      return (await this.home.client.rest.get<Message>(`/v1/messages/${event.id}`)).ciphertext
    } catch (error) {
      if (error instanceof ProblemError && error.status === 404) return ''
      throw error
    }
  }

  /**
   * A commit as it is sent, encrypted, for one of the thread's groups. Of a group that this device is not
   * in, the first one stands where the group's name says, and the others behind that.
   */
  #commitOf(bytes: Uint8Array, at: number, state: ClientState | undefined): Commit | undefined {
    const message = decodeMls(bytes)
    if (message?.wireformat !== 'mls_private_message' || message.privateMessage.contentType !== 'commit') return undefined
    const { groupId, epoch } = message.privateMessage
    const group = groupOf(groupId, this.threadId)
    if (group === undefined) return undefined
    const genuine = group === 0 || (epoch === 0n ? group === at : group < at) || (state && sameBytes(groupId, state.groupContext.groupId))
    return genuine ? { group, message: message.privateMessage } : undefined
  }

  /** This device's own commit is taken. */
  #own(pending: Pending, time: string, at: Standpoint, effects: Effects): Standpoint {
    const state = decodeState(pending.state, this.home.config)!
    const place = placeOf(state, this.threadId)
    this.#compare(at.state, state, effects)
    if (!at.state || placeOf(at.state, this.threadId).group !== place.group) return { record: entered(at.record, place, time), state }
    return { record: { ...at.record, begun: true, pending: undefined, since: at.record.since ?? time, top: place }, state }
  }

  /** Joins by a welcome, if it is for this device, for what the commit makes of its group, whole, and leads on. */
  async #join(bytes: Uint8Array | undefined, { message: commit }: Commit, time: string, at: Standpoint, effects: Effects): Promise<Standpoint | undefined> {
    const welcome = bytes && decodeMls(bytes)
    if (welcome?.wireformat !== 'mls_welcome') return undefined
    const own = await this.home.ring.packageFor(welcome.welcome)
    if (!own) return undefined
    const keyPackage = decodeKeyPackage(own.public)!
    try {
      const state = await joinGroup(welcome.welcome, keyPackage, own.private, this.home.cs, this.home.config)
      const place = placeOf(state, this.threadId)
      if (!sameBytes(state.groupContext.groupId, commit.groupId) || place.epoch !== commit.epoch + 1n || !isLater(place, at.record.top)) return undefined
      await this.home.ring.used(own, effects.changes)
      effects.stale = true
      if (at.state && placeOf(at.state, this.threadId).group !== place.group) effects.moved = true
      this.#compare(at.state, state, effects)
      return { record: entered(at.record, place, time), state: withPast(state, at.state) }
    } catch (error) {
      if (error instanceof NotStored) throw error
      return undefined // broken: whoever made it can let this device in anew
    }
  }

  /**
   * Applies another's commit. One that is broken, or with proposals that this module never makes, changes
   * nothing: no other member follows it either. The state is undefined once this device is let out, if the
   * same commit does not let it in again.
   */
  async #follow(commit: Commit & { welcome: Uint8Array | undefined }, time: string, at: Inside, effects: Effects): Promise<Standpoint> {
    const { record, state } = at
    const { message } = commit
    const above = message.epoch - state.groupContext.epoch
    if (above < 0n) return at
    if (above > 0n) return { ...at, record: missing(record, above) }
    try {
      const { newState } = await processPrivateMessage(state, message, emptyPskIndex, this.home.cs, letsInOrOut)
      if (newState.groupActiveState.kind !== 'active') {
        return (await this.#join(commit.welcome, commit, time, at, effects)) ?? { record: inStep(record), state: undefined }
      }
      if (newState.groupContext.epoch === message.epoch) return { record, state: newState } // refused
      this.#compare(state, newState, effects)
      return { record: { ...inStep(record), top: placeOf(newState, this.threadId) }, state: newState }
    } catch (error) {
      if (error instanceof NotStored) throw error
      if (!(await this.#isSigned(message, state))) return { ...at, record: missing(record, 0n) }
      // One that puts this device out and in again cannot be followed by the leaf that it takes away.
      const joined = await this.#join(commit.welcome, commit, time, at, effects)
      return joined ?? { ...at, record: { ...record, unfollowed: (record.unfollowed ?? 0) + 1 } }
    }
  }

  /** A member has signed it. Others may have followed it, even if this device cannot. */
  #isSigned(message: PrivateMessage, { keySchedule, secretTree, ratchetTree, groupContext, clientConfig }: ClientState): Promise<boolean> {
    return unprotectPrivateMessage(keySchedule.senderDataSecret, message, secretTree, ratchetTree, groupContext, clientConfig.keyRetentionConfig, this.home.cs)
      .then(() => true, () => false)
  }

  /** Notes which devices others have put into the group between two states: new ones of people who had another there, and the same ones anew. */
  #compare(before: ClientState | undefined, after: ClientState, effects: Effects): void {
    if (!before) return
    const old = leavesOf(before)
    for (const { device, leaf } of leavesOf(after)) {
      const same = old.find((one) => nameOf(one.device) === nameOf(device))
      const put = leaf.leafNodeSource === 'key_package' // a device that commits makes its own leaf
      if (same && put && !sameBytes(same.leaf.hpkePublicKey, leaf.hpkePublicKey)) effects.renewed.push(device)
      if (same) continue
      effects.came.push(device)
      const begins = before.groupContext.epoch === 0n
      if (!begins && old.some((one) => one.device.userId === device.userId)) effects.added.push(device)
    }
  }
}

interface Commit {
  group: number
  message: PrivateMessage
}

/** A standpoint in a group. */
type Inside = Standpoint & { state: ClientState }

/** Counts what this device could not read of the messages that have epochs: one without its content, and those that it was not shown. */
function unread({ record, state }: Standpoint, epoch: number, ciphertext: string): GroupRecord {
  const hidden = record.epoch === 0 ? 0 : epoch - record.epoch - 1
  const more = hidden + (ciphertext === '' ? 1 : 0)
  return state && state.groupContext.epoch > 0n && more > 0 && !record.restored ? { ...record, unread: (record.unread ?? 0) + more } : record
}

/** A device that is let into its group anew can go on reading what was written to it before. */
function withPast(state: ClientState, before: ClientState | undefined): ClientState {
  if (!before || !sameBytes(before.groupContext.groupId, state.groupContext.groupId)) return state
  return { ...state, historicalReceiverData: addHistoricalReceiverData(before)[0] }
}

/** Others end the group, or change what it is. */
const letsInOrOut: IncomingMessageCallback = (incoming) =>
  incoming.kind === 'commit' && incoming.proposals.every(({ proposal }) => proposal.proposalType === 'add' || proposal.proposalType === 'remove') ? 'accept' : 'reject'
