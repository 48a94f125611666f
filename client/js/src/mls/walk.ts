import { emptyPskIndex, processPrivateMessage, type ClientState, type IncomingMessageCallback, type PrivateMessage } from 'ts-mls'
import { fromBase64 } from '../bytes.js'
import type { Message, ThreadEvent } from '../types.js'
import { decodeEnvelope } from './envelope.js'
import type { GroupHome } from './group.js'
import { decodeKeyPackage } from './identity.js'
import { joinGroup } from './join.js'
import { decodeMls } from './leaves.js'
import { decodeState, type GroupRecord, type Standpoint } from './record.js'
import { NotStored } from './secrets.js'
import { signerOf } from './signer.js'
import type { Revealed } from './texts.js'

/** What a stretch of the log does beside moving the standpoint. */
export interface Effects {
  /** What is written with the standpoint. */
  changes: Map<string, unknown>
  /** Who is in the thread or in the group may have changed. */
  stale?: true
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
    const { epoch } = message.privateMessage
    if (state && epoch > state.groupContext.epoch) return at // the content of a later edit, which comes in its place
    const opened = state && (await this.#decrypt(message.privateMessage, state).catch(() => undefined))
    const why = !state ? 'before_joining' : 'no_key'
    await texts.keep(changes, event.ciphertext, opened?.revealed ?? { why }, event.id)
    return opened ? { ...at, state: opened.state } : at
  }

  async #decrypt(message: PrivateMessage, state: ClientState): Promise<{ revealed: Revealed; state: ClientState }> {
    const result = await processPrivateMessage(state, message, emptyPskIndex, this.home.cs)
    if (result.kind !== 'applicationMessage') throw new Error('a handshake in place of a message')
    const by = (await signerOf(message, state, this.home.cs))?.device.userId ?? '' // the server could name another sender
    return { revealed: { text: new TextDecoder().decode(result.message), by, thread: this.threadId }, state: result.newState }
  }

  async #control(event: ThreadEvent & { t: 'msg' }, at: Standpoint, effects: Effects): Promise<Standpoint> {
    if (event.epoch === undefined) { // it has no place among the commits
      return at.state ? { ...at, state: await this.home.again.take(event, at.state, effects.changes) } : at
    }
    const { pending } = at.record
    let state = at.state
    let record: GroupRecord = { ...at.record, epoch: event.epoch }
    const ciphertext = event.omitted ? (await this.home.client.rest.get<Message>(`/v1/messages/${event.id}`)).ciphertext : event.ciphertext
    const own = pending && event.epoch === pending.epoch && ciphertext === pending.ciphertext
    if (own) {
      record = { ...record, begun: true, pending: undefined, since: record.since ?? event.created_at }
      return { record, state: decodeState(pending.state, this.home.config) }
    }
    const envelope = decodeEnvelope(fromBase64(ciphertext))
    const commit = envelope && commitOf(envelope.commit, this.threadId)
    if (!envelope || !commit) return { record, state } // another protocol's, of a later form, or broken
    record = { ...record, begun: true }
    // Who began the group while another one was faster drops its own: that never was anybody's.
    if (state?.groupContext.epoch === 0n && commit.epoch === 0n) {
      state = undefined
      record = { ...record, pending: undefined }
    }
    const joined = envelope.welcome && (!state || record.back) ? await this.#join(envelope.welcome, effects.changes) : undefined
    if (joined) {
      effects.stale = true
      return { record: { store: record.store, seq: record.seq, epoch: record.epoch, begun: true, since: event.created_at }, state: joined }
    }
    return { record, state: state && (await this.#follow(commit, state)) }
  }

  /** Joins by a welcome, if it is for this device, of this thread and whole. */
  async #join(welcome: Uint8Array, changes: Map<string, unknown>): Promise<ClientState | undefined> {
    const message = decodeMls(welcome)
    if (message?.wireformat !== 'mls_welcome') return undefined
    const own = await this.home.ring.packageFor(message.welcome)
    if (!own) return undefined
    const keyPackage = decodeKeyPackage(own.public)!
    try {
      const state = await joinGroup(message.welcome, keyPackage, own.private, this.home.cs, this.home.config)
      if (!isOf(state.groupContext.groupId, this.threadId)) return undefined
      await this.home.ring.used(own, changes)
      return state
    } catch (error) {
      if (error instanceof NotStored) throw error
      return undefined // broken: whoever made it can let this device in anew
    }
  }

  /**
   * Applies another's commit. One that is not of the state's epoch, broken, or with proposals that this
   * module never makes changes nothing: no other member follows it either. Undefined once this device is let out.
   */
  async #follow(commit: PrivateMessage, state: ClientState): Promise<ClientState | undefined> {
    if (commit.epoch !== state.groupContext.epoch) return state
    try {
      const result = await processPrivateMessage(state, commit, emptyPskIndex, this.home.cs, letsInOrOut)
      return result.newState.groupActiveState.kind === 'active' ? result.newState : undefined
    } catch (error) {
      if (error instanceof NotStored) throw error
      return state
    }
  }
}

/** Others end the group, or change what it is. */
const letsInOrOut: IncomingMessageCallback = (incoming) =>
  incoming.kind === 'commit' && incoming.proposals.every(({ proposal }) => proposal.proposalType === 'add' || proposal.proposalType === 'remove') ? 'accept' : 'reject'

export const isOf = (groupId: Uint8Array, threadId: string): boolean => new TextDecoder().decode(groupId) === threadId

/** A commit as it is sent: encrypted, for the group of that thread. */
function commitOf(bytes: Uint8Array, threadId: string): PrivateMessage | undefined {
  const message = decodeMls(bytes)
  if (message?.wireformat !== 'mls_private_message') return undefined
  const { contentType, groupId } = message.privateMessage
  return contentType === 'commit' && isOf(groupId, threadId) ? message.privateMessage : undefined
}
