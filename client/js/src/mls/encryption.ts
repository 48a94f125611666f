import { defaultKeyPackageEqualityConfig, defaultKeyRetentionConfig, defaultLifetimeConfig, defaultPaddingConfig, getCiphersuiteFromName, getCiphersuiteImpl, type CiphersuiteImpl, type ClientConfig } from 'ts-mls'
import type { Client, SendOptions } from '../client.js'
import { Emitter } from '../emitter.js'
import { ProblemError } from '../rest.js'
import type { components } from '../generated/openapi.js'
import type { Outgoing } from '../storage.js'
import type { Frame, ThreadEvent } from '../types.js'
import { Again, type Ask } from './again.js'
import { Group, type GroupHome } from './group.js'
import { deviceOf, nameOf, safetyNumber, sameBytes, type Device } from './identity.js'
import { KeyRing } from './keyring.js'
import { Membership } from './membership.js'
import { MemorySecrets, NotStored, type SecretStore } from './secrets.js'
import { Texts, type Revealed } from './texts.js'

const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'

/** So many key packages are uploaded at a time. Each lets this device into one group. */
const PACKAGES = 50

/** Messages of so many epochs ago can still be read: those which a device that was away sends late. */
const EPOCHS_KEPT = 32

/**
 * The signal by which a device asks those of a group to let it in. It cannot use the leaf that it may have.
 * Its data is which group of the thread it means, as digits; nothing for any. The server names whose device it is.
 */
const ASK = 'mls.join'

/** A device that has to be let in asks by itself as its thread goes on, and so often at most. */
const ASK_MS = 60_000

/** One of the devices that could let somebody in does it: each waits a while of its own, and looks whether it is done. */
const TEND_MS = [300, 3000] as const

export type EncryptionEvents = {
  /** A device has another key than this one saw before: it was installed anew, or somebody stands between. */
  identity_changed: Device
  /** Texts became known or were forgotten. */
  texts: void
  /** How a thread stands may have changed: see standing. */
  group: string
  /** What `asks` gives of a thread may have changed. */
  asked: string
  /** A person's device came into a group to others of the same person. Its texts are as that person's from then on. */
  device_added: { threadId: string; device: Device }
  error: unknown
}

/** A message as the server tells it. */
export interface Sealed {
  ciphertext: string
  sender_id?: string
  thread_id?: string
}

export interface EncryptionOptions {
  /** In memory without it: the texts are lost with the page. */
  secrets?: SecretStore
  packages?: number
}

/** How a thread stands on this device, and who of its people has no device that could read what is sent now. */
export interface Standing {
  state:
    | 'none' // it has no group: nothing in it is encrypted, until somebody begins
    | 'in' // this device is in its group
    | 'outside' // it has a group, and a device in it has to let this one in
  without: string[]
}

/**
 * End-to-end encryption of a client's threads with MLS (RFC 9420), one group for each thread and one
 * leaf for each device. The server sees who writes to whom, when and how much, and no text. Keys of
 * others are trusted when they are first seen; people who compare their safety numbers need not.
 * Neither this nor the library beneath was audited.
 *
 * One instance at a time may have the secrets: two that go on from the same keys use them twice.
 */
export class Encryption {
  readonly device: Device
  readonly events = new Emitter<EncryptionEvents>()

  #client: Client
  #secrets: SecretStore
  #ring: KeyRing
  #groups = new Map<string, Group>()
  #home: GroupHome
  #texts: Texts
  #again: Again
  #stops: (() => void)[]
  #offering: Promise<void> | undefined
  #offered = false
  #tending = new Map<string, ReturnType<typeof setTimeout>>()
  #asking = new Map<string, ReturnType<typeof setTimeout>>()
  #asked = new Map<string, number>()

  private constructor(client: Client, secrets: SecretStore, cs: CiphersuiteImpl, ring: KeyRing, device: Device) {
    this.#client = client
    this.#secrets = secrets
    this.#ring = ring
    this.device = device
    this.#texts = new Texts(secrets, () => this.events.emit('texts', undefined))
    this.#again = new Again({
      client, secrets, texts: this.#texts, cs, device,
      group: (threadId) => this.group(threadId), asked: (threadId) => this.events.emit('asked', threadId), failed: (error) => this.#failed(error),
    })
    const config: ClientConfig = {
      keyRetentionConfig: { ...defaultKeyRetentionConfig, retainKeysForEpochs: EPOCHS_KEPT, maximumForwardRatchetSteps: 2000 },
      lifetimeConfig: defaultLifetimeConfig, keyPackageEqualityConfig: defaultKeyPackageEqualityConfig, paddingConfig: defaultPaddingConfig,
      authService: {
        validateCredential: (credential, key) => this.#trust(deviceOf(credential), key).catch((error) => {
          throw new NotStored(error)
        }),
      },
    }
    this.#home = {
      client, secrets, texts: this.#texts, cs, config, device, ring, membership: new Membership(client, cs, device), again: this.#again,
      moved: (threadId) => this.events.emit('group', threadId),
      tend: (threadId) => this.#tendSoon(threadId),
      ask: (threadId) => this.#askSoon(threadId),
      added: (threadId, device) => this.events.emit('device_added', { threadId, device }),
    }
    this.#stops = [
      client.events.on('frame', (frame) => this.#seen(frame)),
      client.events.on('store_changed', () => {
        this.#offered = false // the other store may have no keys of this device
        for (const group of this.#groups.values()) group.restored()
      }),
      client.events.on('caught_up', () => {
        this.#offer().catch(this.#failed)
        this.#again.resume().catch(this.#failed)
      }),
    ]
  }

  /**
   * Opens what this device has, or makes its identity, and sees to it that others find keys of it: at
   * once, or when the client is connected.
   */
  static async open(client: Client, options: EncryptionOptions = {}): Promise<Encryption> {
    const secrets = options.secrets ?? new MemorySecrets()
    const cs = await getCiphersuiteImpl(getCiphersuiteFromName(SUITE))
    const device = { userId: client.userId, deviceId: client.deviceId }
    const ring = await KeyRing.open(client, secrets, cs, device, options.packages ?? PACKAGES)
    const encryption = new Encryption(client, secrets, cs, ring, device)
    if (!client.online) return encryption
    try {
      await encryption.#offer()
      encryption.#again.resume().catch(encryption.#failed)
    } catch (error) {
      if (error instanceof ProblemError && error.status < 500) {
        await encryption.close()
        throw error
      }
    }
    return encryption
  }

  /** Ends it, when what is under way has come to its end. */
  async close(): Promise<void> {
    for (const stop of this.#stops) stop()
    await this.#offering?.catch(() => {})
    await this.#again.close()
    await Promise.all([...this.#groups.values()].map((group) => group.close()))
    // What was under way may have set one.
    for (const timer of [...this.#tending.values(), ...this.#asking.values()]) clearTimeout(timer)
    this.#secrets.close()
  }

  #offer(): Promise<void> {
    if (this.#offered) return Promise.resolve()
    return (this.#offering ??= this.#ring.offer().then(() => void (this.#offered = true)).finally(() => (this.#offering = undefined)))
  }

  /** Uploads key packages, as many as there are to be. It is done by itself when the server says that few are left. */
  publish(): Promise<void> {
    return this.#ring.publish()
  }

  /** Begins an encrypted thread with these people: every device of theirs that has keys is in. */
  async createThread(type: '1_TO_1' | 'GROUP', userIds: string[], title?: string): Promise<string> {
    const id = await this.#client.createThread(type, userIds, title)
    await this.group(id).reconcile()
    return id
  }

  /** Encrypts a text for those who are in the thread now, or were when this device last heard of it, and puts it into the outbox. */
  async sendText(threadId: string, text: string, options?: SendOptions): Promise<Outgoing> {
    return this.#client.send(threadId, await this.group(threadId).encrypt(text), options)
  }

  async edit(threadId: string, id: string, text: string): Promise<void> {
    await this.#client.edit(threadId, id, await this.group(threadId).encrypt(text))
  }

  /** Puts a person into the thread and lets its devices in. They cannot read what was sent before. */
  async addParticipant(threadId: string, userId: string): Promise<void> {
    await this.#client.addParticipant(threadId, userId)
    await this.#keep(threadId)
  }

  /**
   * Takes a person out of the thread, and its devices out of the group: they cannot read what is sent
   * from then on. Who leaves is let out by the others.
   */
  async removeParticipant(threadId: string, userId: string): Promise<void> {
    await this.#client.removeParticipant(threadId, userId)
    if (userId !== this.device.userId) await this.#keep(threadId)
  }

  /** How a thread stands, by what the server says and the group's own tree. */
  standing(threadId: string): Promise<Standing> {
    return this.group(threadId).standing()
  }

  /**
   * Has a thread's group be those who are in the thread, if this device is in it, or asks others to let
   * it in. It is done before each message and when somebody asks; a thread that was away is looked after
   * by a call of this.
   */
  async tend(threadId: string): Promise<void> {
    await this.#keep(threadId)
    const ask = await this.group(threadId).asks()
    if (ask === undefined || !this.#client.online) return
    this.#asked.set(threadId, Date.now())
    this.#client.signal(threadId, ASK, ask)
  }

  /**
   * Begins a new group in a thread that has one which nobody can let this device into: because all have
   * lost their keys, say, or somebody has begun a false one. All devices of those who are in the thread
   * are let in, and leave the older group. What was sent before is not read by it.
   */
  beginAnew(threadId: string): Promise<void> {
    return this.group(threadId).beginAnew()
  }

  /**
   * Asks the devices of those who sent them, and the user's own others, to send again these messages, which
   * this one cannot read. Each does once its person agrees. Whatever was asked for may be asked for again;
   * an ask stands for seven days.
   */
  askAgain(threadId: string, ids: string[]): Promise<void> {
    return this.#again.askAgain(threadId, ids)
  }

  /** The messages that were asked for and cannot be read yet. */
  waitingFor(threadId: string): Promise<string[]> {
    return this.#again.waitingFor(threadId)
  }

  /** What other devices ask for, as far as this one has it and they may have it. The server has to be there. */
  asks(threadId: string): Promise<Ask[]> {
    return this.#again.asks(threadId)
  }

  /** Sends an ask's messages again, for the device that asks alone, or drops the ask. */
  answer(threadId: string, askId: string, give: boolean): Promise<void> {
    return this.#again.answer(threadId, askId, give)
  }

  async #keep(threadId: string): Promise<void> {
    const group = this.group(threadId)
    group.changed()
    await group.keep()
  }

  /** Takes in what the log of a thread has. Frames do that by themselves while the client is connected. */
  sync(threadId: string): Promise<void> {
    return this.group(threadId).advance()
  }

  group(threadId: string): Group {
    let group = this.#groups.get(threadId)
    if (!group) this.#groups.set(threadId, (group = new Group(this.#home, threadId)))
    return group
  }

  /** What a message says, of those that were decrypted or loaded; see load. */
  reveal(message: Sealed): Revealed | undefined {
    return checked(this.#texts.shown(message.ciphertext), message)
  }

  /** What a message says. */
  async load(message: Sealed): Promise<Revealed | undefined> {
    return checked(await this.#texts.load(message.ciphertext), message)
  }

  /** Digits for two people to compare, outside of this. They are the same if each sees the other's devices as they are. */
  async safetyNumber(threadId: string, userId: string): Promise<string> {
    const both = [this.device.userId, userId]
    const leaves = (await this.group(threadId).members()).filter(({ device }) => both.includes(device.userId))
    return safetyNumber(leaves.map(({ device, publicKey }) => ({ name: nameOf(device), publicKey })))
  }

  #seen(frame: Frame): void {
    switch (frame.t) {
      case 'msg':
      case 'edit':
      case 'del':
      case 'reaction':
      case 'thread':
        this.group(frame.thread_id).advance(frame as ThreadEvent).catch(this.#failed)
        if (frame.t === 'del') this.#again.deleted(frame.thread_id, frame.id).catch(this.#failed)
        if (frame.t === 'thread' && (frame.event === 'participant_added' || frame.event === 'participant_removed')) this.#tendSoon(frame.thread_id)
        return
      case 'devices':
        for (const group of this.#groups.values()) {
          group.changed()
          this.#tendSoon(group.threadId)
        }
        return
      case 'signal':
        if (frame.name !== ASK) return
        this.group(frame.thread_id).asked({ userId: frame.user_id, deviceId: frame.device_id }, frame.data).catch(this.#failed)
        this.#tendSoon(frame.thread_id)
        return
      case 'prekeys_low':
        this.publish().catch(this.#failed)
    }
  }

  #failed = (error: unknown): void => this.events.emit('error', error)

  #tendSoon(threadId: string): void {
    if (this.#tending.has(threadId)) return
    const [least, most] = TEND_MS
    this.#tending.set(threadId, setTimeout(() => {
      this.#tending.delete(threadId)
      this.#keep(threadId).catch(this.#failed)
    }, least + Math.random() * (most - least)))
  }

  /** Asks in a while, unless it has asked a while ago. */
  #askSoon(threadId: string): void {
    if (this.#asking.has(threadId) || Date.now() - (this.#asked.get(threadId) ?? -Infinity) < ASK_MS) return
    this.#asking.set(threadId, setTimeout(() => {
      this.#asking.delete(threadId)
      this.tend(threadId).catch(this.#failed)
    }, TEND_MS[0]))
  }

  /** Trusts a key that is seen for the first time, and tells of one that is another than before. */
  async #trust(device: Device | undefined, key: Uint8Array): Promise<boolean> {
    if (!device) return false
    const name = `trusted/${nameOf(device)}`
    const before = await this.#secrets.get<Uint8Array>(name)
    if (before && sameBytes(before, key)) return true
    await this.#secrets.write(new Map([[name, key]]))
    if (before) this.events.emit('identity_changed', device)
    return true
  }
}

/** What a message says, if it is of the person and the thread that the server names. */
function checked(revealed: Revealed | undefined, message: Sealed): Revealed | undefined {
  if (!revealed || !('text' in revealed)) return revealed
  const { by, thread } = revealed
  if (by !== undefined && message.sender_id !== undefined && by !== message.sender_id) return { why: 'another_sender' }
  if (thread !== undefined && message.thread_id !== undefined && thread !== message.thread_id) return { why: 'another_thread' }
  return revealed
}
