import { defaultKeyPackageEqualityConfig, defaultKeyRetentionConfig, defaultLifetimeConfig, defaultPaddingConfig, getCiphersuiteFromName, getCiphersuiteImpl, type CiphersuiteImpl, type ClientConfig, type Welcome } from 'ts-mls'
import { toBase64 } from '../bytes.js'
import type { Client, SendOptions } from '../client.js'
import { Emitter } from '../emitter.js'
import type { Outgoing } from '../storage.js'
import type { components } from '../generated/openapi.js'
import type { Frame, ThreadEvent } from '../types.js'
import { Group, type GroupHome } from './group.js'
import { deviceOf, hex, makeKeyPackage, nameOf, refOf, safetyNumber, sameBytes, type Device, type Identity, type OwnKeyPackage } from './identity.js'
import { Membership } from './membership.js'
import { MemorySecrets, type SecretStore } from './secrets.js'
import { Texts, type Revealed } from './texts.js'

type Schemas = components['schemas']

const SUITE = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'

/** So many key packages are uploaded at a time. Each lets this device into one group. */
const PACKAGES = 50

/** Messages of so many epochs ago can still be read: those which a device that was away sends late. */
const EPOCHS_KEPT = 32

export type EncryptionEvents = {
  /** A device has another key than this one saw before: it was installed anew, or somebody stands between. */
  identity_changed: Device
  /** Texts became known or were forgotten. */
  texts: void
  error: unknown
}

export interface EncryptionOptions {
  /** In memory without it: the texts are lost with the page. */
  secrets?: SecretStore
  packages?: number
}

interface KeyRing {
  identity: Identity
  nextKeyId: number
}

/**
 * End-to-end encryption of a client's threads with MLS (RFC 9420), one group for each thread and one
 * leaf for each device. The server sees who writes to whom, when and how much, and no text. Keys of
 * others are trusted when they are first seen; people who compare their safety numbers need not.
 * Neither this nor the library beneath was audited.
 */
export class Encryption {
  readonly device: Device
  readonly events = new Emitter<EncryptionEvents>()

  #client: Client
  #secrets: SecretStore
  #cs: CiphersuiteImpl
  #ring: KeyRing
  #packages: number
  #groups = new Map<string, Group>()
  #home: GroupHome
  #texts: Texts
  #stop: () => void
  #publishing: Promise<void> | undefined

  private constructor(client: Client, secrets: SecretStore, cs: CiphersuiteImpl, ring: KeyRing, packages: number) {
    this.#client = client
    this.#secrets = secrets
    this.#cs = cs
    this.#ring = ring
    this.#packages = packages
    this.device = { userId: client.userId, deviceId: client.deviceId }
    this.#texts = new Texts(secrets, () => this.events.emit('texts', undefined))
    const config: ClientConfig = {
      keyRetentionConfig: { ...defaultKeyRetentionConfig, retainKeysForEpochs: EPOCHS_KEPT, maximumForwardRatchetSteps: 2000 },
      lifetimeConfig: defaultLifetimeConfig, keyPackageEqualityConfig: defaultKeyPackageEqualityConfig, paddingConfig: defaultPaddingConfig,
      authService: { validateCredential: (credential, key) => this.#trust(deviceOf(credential), key) },
    }
    this.#home = {
      client, secrets, texts: this.#texts, cs, config, device: this.device, membership: new Membership(client, cs, this.device),
      packageFor: (welcome) => this.#packageFor(welcome), firstPackage: () => this.#firstPackage(),
      used: (keyPackage, changes) => this.#used(keyPackage, changes),
    }
    this.#stop = client.events.on('frame', (frame) => this.#seen(frame))
  }

  /** Opens what this device has, or makes its identity, and sees to it that others find keys of it. */
  static async open(client: Client, options: EncryptionOptions = {}): Promise<Encryption> {
    const secrets = options.secrets ?? new MemorySecrets()
    const cs = await getCiphersuiteImpl(getCiphersuiteFromName(SUITE))
    let ring = await secrets.get<KeyRing>('ring')
    if (!ring) {
      ring = { identity: await cs.signature.keygen(), nextKeyId: 1 }
      await secrets.write(new Map([['ring', ring]]))
    }
    const encryption = new Encryption(client, secrets, cs, ring, options.packages ?? PACKAGES)
    if (!(await encryption.#hasPackages())) await encryption.publish()
    return encryption
  }

  close(): void {
    this.#stop()
    this.#secrets.close()
  }

  /** Whether the server has enough key packages of this identity. */
  async #hasPackages(): Promise<boolean> {
    const { devices } = await this.#client.rest.get<{ devices: Schemas['Device'][] }>('/v1/users/me/devices')
    const own = devices.find((d) => d.device_id === this.device.deviceId)
    return own?.identity_key === toBase64(this.#ring.identity.publicKey) && (own.one_time_prekeys ?? 0) >= this.#packages / 2
  }

  /** Uploads key packages, as many as there are to be. It is done by itself when the server says that few are left. */
  publish(): Promise<void> {
    return (this.#publishing ??= this.#publish().finally(() => (this.#publishing = undefined)))
  }

  async #publish(): Promise<void> {
    const first = this.#ring.nextKeyId
    const made: OwnKeyPackage[] = []
    for (let n = 0; n <= this.#packages; n++) made.push(await makeKeyPackage(this.#cs, this.device, this.#ring.identity, first + n))
    const lastResort = made[this.#packages]!
    lastResort.lastResort = true
    const changes = new Map<string, unknown>()
    for (const own of made) changes.set(packageKey(await refOf(this.#cs, own.public)), own)
    // They are kept before anybody can use them.
    this.#ring = { ...this.#ring, nextKeyId: first + made.length }
    await this.#secrets.write(changes.set('ring', this.#ring))
    const signed = async (own: OwnKeyPackage) => ({
      key_id: own.keyId, public_key: toBase64(own.public),
      signature: toBase64(await this.#cs.signature.sign(this.#ring.identity.signKey, own.public)),
    })
    await this.#client.rest.request('PUT', '/v1/users/me/prekeys', {
      body: {
        identity_key: toBase64(this.#ring.identity.publicKey), signed_prekey: await signed(lastResort), last_resort_prekey: await signed(lastResort),
        one_time_prekeys: made.slice(0, -1).map((own) => ({ key_id: own.keyId, public_key: toBase64(own.public) })),
      },
    })
  }

  /** Begins an encrypted thread with these people: every device of theirs that has keys is in. */
  async createThread(type: '1_TO_1' | 'GROUP', userIds: string[], title?: string): Promise<string> {
    const id = await this.#client.createThread(type, userIds, title)
    await this.group(id).reconcile()
    return id
  }

  /** Encrypts a text for those who are in the thread now, and puts it into the outbox. */
  async sendText(threadId: string, text: string, options?: SendOptions): Promise<Outgoing> {
    return this.#client.send(threadId, await this.group(threadId).encrypt(text), options)
  }

  async edit(threadId: string, id: string, text: string): Promise<void> {
    await this.#client.edit(threadId, id, await this.group(threadId).encrypt(text))
  }

  /** Puts a person into the thread and lets its devices in. They cannot read what was sent before. */
  async addParticipant(threadId: string, userId: string): Promise<void> {
    await this.#client.addParticipant(threadId, userId)
    await this.#reconcile(threadId)
  }

  /** Takes a person out of the thread, and its devices out of the group: they cannot read what is sent from then on. */
  async removeParticipant(threadId: string, userId: string): Promise<void> {
    await this.#client.removeParticipant(threadId, userId)
    await this.#reconcile(threadId)
  }

  async #reconcile(threadId: string): Promise<void> {
    const group = this.group(threadId)
    group.changed()
    await group.reconcile()
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
  reveal(message: { ciphertext: string }): Revealed | undefined {
    return this.#texts.shown(message.ciphertext)
  }

  /** What a message says. */
  load(message: { ciphertext: string }): Promise<Revealed | undefined> {
    return this.#texts.load(message.ciphertext)
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
        this.group(frame.thread_id).advance(frame as ThreadEvent).catch((error: unknown) => this.events.emit('error', error))
        return
      case 'devices':
        for (const group of this.#groups.values()) group.changed()
        return
      case 'prekeys_low':
        this.publish().catch((error: unknown) => this.events.emit('error', error))
    }
  }

  async #packageFor(welcome: Welcome): Promise<OwnKeyPackage | undefined> {
    for (const { newMember } of welcome.secrets) {
      const own = await this.#secrets.get<OwnKeyPackage>(packageKey(hex(newMember)))
      if (own) return own
    }
    return undefined
  }

  /** One of its own that was never uploaded: nobody else can use it. */
  async #firstPackage(): Promise<OwnKeyPackage> {
    return makeKeyPackage(this.#cs, this.device, this.#ring.identity, 0)
  }

  async #used(own: OwnKeyPackage, changes: Map<string, unknown>): Promise<void> {
    if (!own.lastResort) changes.set(packageKey(await refOf(this.#cs, own.public)), undefined)
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

const packageKey = (ref: string): string => `package/${ref}`
