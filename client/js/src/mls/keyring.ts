import type { CiphersuiteImpl, Welcome } from 'ts-mls'
import { toBase64 } from '../bytes.js'
import type { Client } from '../client.js'
import type { components } from '../generated/openapi.js'
import { hex, makeKeyPackage, refOf, type Device, type Identity, type OwnKeyPackage } from './identity.js'
import type { SecretStore } from './secrets.js'

type Schemas = components['schemas']

interface Ring {
  identity: Identity
  nextKeyId: number
}

/** The identity of this device, and the key packages by which others let it into their groups. */
export class KeyRing {
  #ring: Ring
  #publishing: Promise<void> | undefined

  private constructor(
    private client: Client, private secrets: SecretStore, private cs: CiphersuiteImpl, private device: Device, private packages: number, ring: Ring,
  ) {
    this.#ring = ring
  }

  /** Opens what this device has, or makes its identity. */
  static async open(client: Client, secrets: SecretStore, cs: CiphersuiteImpl, device: Device, packages: number): Promise<KeyRing> {
    let ring = await secrets.get<Ring>('ring')
    if (!ring) {
      ring = { identity: await cs.signature.keygen(), nextKeyId: 1 }
      await secrets.write(new Map([['ring', ring]]))
    }
    return new KeyRing(client, secrets, cs, device, packages, ring)
  }

  /** Sees to it that the server has enough key packages of this identity. */
  async offer(): Promise<void> {
    const { devices } = await this.client.rest.get<{ devices: Schemas['Device'][] }>('/v1/users/me/devices')
    const own = devices.find((d) => d.device_id === this.device.deviceId)
    const there = own?.identity_key === toBase64(this.#ring.identity.publicKey) && (own.one_time_prekeys ?? 0) >= this.packages / 2
    if (!there) await this.publish()
  }

  /** Uploads key packages, as many as there are to be. */
  publish(): Promise<void> {
    return (this.#publishing ??= this.#publish().finally(() => (this.#publishing = undefined)))
  }

  async #publish(): Promise<void> {
    const first = this.#ring.nextKeyId
    const made: OwnKeyPackage[] = []
    for (let n = 0; n <= this.packages; n++) made.push(await makeKeyPackage(this.cs, this.device, this.#ring.identity, first + n))
    const lastResort = made[this.packages]!
    lastResort.lastResort = true
    const changes = new Map<string, unknown>()
    for (const own of made) changes.set(packageKey(await refOf(this.cs, own.public)), own)
    // They are kept before anybody can use them.
    this.#ring = { ...this.#ring, nextKeyId: first + made.length }
    await this.secrets.write(changes.set('ring', this.#ring))
    const signed = async (own: OwnKeyPackage) => ({
      key_id: own.keyId, public_key: toBase64(own.public),
      signature: toBase64(await this.cs.signature.sign(this.#ring.identity.signKey, own.public)),
    })
    await this.client.rest.request('PUT', '/v1/users/me/prekeys', {
      body: {
        identity_key: toBase64(this.#ring.identity.publicKey), signed_prekey: await signed(lastResort), last_resort_prekey: await signed(lastResort),
        one_time_prekeys: made.slice(0, -1).map((own) => ({ key_id: own.keyId, public_key: toBase64(own.public) })),
      },
    })
  }

  /** The key package that a welcome is for, if it is one of this device's. */
  async packageFor(welcome: Welcome): Promise<OwnKeyPackage | undefined> {
    for (const { newMember } of welcome.secrets) {
      const own = await this.secrets.get<OwnKeyPackage>(packageKey(hex(newMember)))
      if (own) return own
    }
    return undefined
  }

  /** A key package to be in a group from its beginning. It was never uploaded: nobody else can use it. */
  firstPackage(): Promise<OwnKeyPackage> {
    return makeKeyPackage(this.cs, this.device, this.#ring.identity, 0)
  }

  /** It was used: the changes forget it, unless it is the one of last resort. */
  async used(own: OwnKeyPackage, changes: Map<string, unknown>): Promise<void> {
    if (!own.lastResort) changes.set(packageKey(await refOf(this.cs, own.public)), undefined)
  }
}

const packageKey = (ref: string): string => `package/${ref}`
