import type { CiphersuiteImpl, Proposal } from 'ts-mls'
import { fromBase64 } from '../bytes.js'
import type { Client } from '../client.js'
import { ProblemError } from '../rest.js'
import type { components } from '../generated/openapi.js'
import { decodeKeyPackage, deviceOf, nameOf, sameBytes, type Device } from './identity.js'
import type { Leaf } from './leaves.js'

type Schemas = components['schemas']

/** When the devices of a user were looked at: the time of their last change then, or "" if there was none. */
export type Checked = Readonly<Record<string, string>>

/** The clocks of two servers that tell times differ by less. */
const SKEW_MS = 60_000

/** A key package of this module has some 500 characters of base64. Every member keeps what is in it. */
const PACKAGE_CHARS = 4096

/** What a commit has to propose, and what was looked at to find that. */
export interface Proposed {
  proposals: Proposal[]
  checked: Checked
}

/**
 * So long it is waited, and four times as long after each further time in vain, but not longer than the second:
 * the server gives a person's keys to another one six times in ten minutes, and somebody may need them.
 */
const VAIN_MS = [30_000, 10 * 60_000] as const

interface Addition {
  device: Device
  proposal: Proposal
}

/** Whom a group has to let in and out to be those who are in its thread, each with all devices that have keys. */
export class Membership {
  /** People whose keys were asked for in vain, as their devices were then: when to ask again, and how long to wait after that. */
  #vain = new Map<string, { changed: string; until: number; wait: number }>()

  constructor(private client: Client, private cs: CiphersuiteImpl, private self: Device) {}

  /**
   * What a commit has to propose. Only people whose devices have changed are looked at: since they were
   * last, or since this device is in the group, for those who let it in had looked then. The leaves to renew
   * are taken out if the same commit puts new ones of their devices in.
   */
  async proposals(threadId: string, leaves: Leaf[], renew: Leaf[], since: string, checked: Checked): Promise<Proposed> {
    const { participants } = await this.client.rest.get<Schemas['ThreadWithParticipants']>(`/v1/threads/${threadId}`)
    const inThread = new Set(participants.map((p) => p.user_id))
    const out = leaves.filter(({ device }) => !inThread.has(device.userId))
    const stays = new Set(leaves.map(({ device }) => nameOf(device)))
    const seen: Record<string, string> = {}
    const missing: string[] = []
    const renewing: Leaf[] = []
    for (const { user_id, devices_at } of participants) {
      const own = leaves.filter(({ device }) => device.userId === user_id)
      const last = devices_at ?? ''
      seen[user_id] = last
      const again = renew.filter(({ device }) => device.userId === user_id)
      const unchanged = user_id in checked ? checked[user_id] === last : own.length > 0 && isBefore(last, since)
      if (unchanged && again.length === 0) continue
      const devices = own.length > 0 ? await this.#devicesOf(user_id) : undefined
      for (const leaf of devices ? own : []) {
        const identity = devices!.get(leaf.device.deviceId)
        if (nameOf(leaf.device) === nameOf(this.self) || (identity && sameBytes(identity, leaf.leaf.signaturePublicKey))) continue
        out.push(leaf)
        stays.delete(nameOf(leaf.device))
      }
      for (const leaf of again) if (stays.delete(nameOf(leaf.device))) renewing.push(leaf)
      if (!devices || [...devices.keys()].some((deviceId) => !stays.has(nameOf({ userId: user_id, deviceId })))) missing.push(user_id)
    }
    const due = missing.filter((user) => this.#isDue(user, seen[user]!))
    const { additions, unable } = await this.#additions(threadId, due, stays)
    for (const user of due) this.#note(user, seen[user]!, unable.has(user))
    const comes = new Set(additions.map(({ device }) => nameOf(device)))
    out.push(...renewing.filter(({ device }) => comes.has(nameOf(device))))
    // Who has keys and could not be let in now is looked at again.
    for (const user of missing) if (seen[user] !== '' && (unable.has(user) || !due.includes(user))) delete seen[user]
    const removals = out.map(({ index }): Proposal => ({ proposalType: 'remove', remove: { removed: index } }))
    return { proposals: [...removals, ...additions.map(({ proposal }) => proposal)], checked: seen }
  }

  /** The devices of a user that have keys. */
  async #devicesOf(userId: string): Promise<Map<string, Uint8Array>> {
    const own = userId === this.self.userId
    try {
      const path = own ? '/v1/users/me/devices' : `/v1/users/${encodeURIComponent(userId)}/devices`
      const { devices } = await this.client.rest.get<{ devices: { device_id: string; identity_key?: string }[] }>(path)
      return new Map(devices.filter((d) => d.identity_key).map((d) => [d.device_id, fromBase64(d.identity_key!)]))
    } catch (error) {
      if (error instanceof ProblemError && error.code === 'no_prekeys') return new Map()
      throw error
    }
  }

  /** A device of that person asks to be let in: its keys may be there now. */
  hear(userId: string): void {
    this.#vain.delete(userId)
  }

  #isDue(userId: string, changed: string): boolean {
    const before = this.#vain.get(userId)
    return before?.changed !== changed || Date.now() >= before.until
  }

  /** The first time in vain is followed by another try at once: the keys may just be coming. */
  #note(userId: string, changed: string, inVain: boolean): void {
    const before = this.#vain.get(userId)
    if (!inVain) this.#vain.delete(userId)
    else if (before?.changed !== changed) this.#vain.set(userId, { changed, until: 0, wait: VAIN_MS[0] })
    else this.#vain.set(userId, { changed, until: Date.now() + before.wait, wait: Math.min(4 * before.wait, VAIN_MS[1]) })
  }

  /**
   * Takes a key package of each device that is to be let in. One without a good key stays out until it has
   * one: its user is among those who were asked for in vain.
   */
  async #additions(threadId: string, userIds: string[], there: Set<string>): Promise<{ additions: Addition[]; unable: Set<string> }> {
    const additions: Addition[] = []
    const unable = new Set<string>()
    for (let asked = userIds; asked.length > 0; ) {
      const body = await this.#prekeys(threadId, asked)
      if (!body) return { additions, unable: new Set([...unable, ...asked]) }
      for (const user of body.unavailable) unable.add(user)
      for (const { user_id, devices, unavailable_devices } of body.bundles) {
        if (unavailable_devices.some((deviceId) => !there.has(nameOf({ userId: user_id, deviceId })))) unable.add(user_id)
        for (const bundle of devices) {
          const device = { userId: user_id, deviceId: bundle.device_id }
          if (there.has(nameOf(device)) || nameOf(device) === nameOf(this.self)) continue
          const keyPackage = this.#keyPackageOf(device, bundle)
          if (keyPackage) additions.push({ device, proposal: { proposalType: 'add', add: { keyPackage } } })
          else unable.add(user_id)
        }
      }
      asked = body.remaining
    }
    return { additions, unable }
  }

  /** Key packages of these people; undefined when this device has asked too often. */
  async #prekeys(threadId: string, userIds: string[]): Promise<Schemas['GroupPrekeys'] | undefined> {
    try {
      const answer = await this.client.rest.request<Schemas['GroupPrekeys']>('POST', `/v1/threads/${threadId}/prekeys`, { body: { user_ids: userIds }, attempts: 1 })
      return answer.body
    } catch (error) {
      if (error instanceof ProblemError && error.status === 429) return undefined
      throw error
    }
  }

  /** The key package of a bundle, if it is one of the device that it is said to be of. */
  #keyPackageOf(device: Device, bundle: Schemas['DeviceBundle']) {
    if (bundle.one_time_prekey.public_key.length > PACKAGE_CHARS) return undefined
    try {
      const keyPackage = decodeKeyPackage(fromBase64(bundle.one_time_prekey.public_key))
      const named = keyPackage && deviceOf(keyPackage.leafNode.credential)
      const genuine = named && nameOf(named) === nameOf(device) && keyPackage.cipherSuite === this.cs.name &&
        keyPackage.leafNode.capabilities.credentials.includes('basic') &&
        sameBytes(keyPackage.leafNode.signaturePublicKey, fromBase64(bundle.identity_key))
      return genuine ? keyPackage : undefined
    } catch {
      return undefined
    }
  }
}

const isBefore = (change: string, since: string): boolean => change === '' || Date.parse(change) < Date.parse(since) - SKEW_MS
