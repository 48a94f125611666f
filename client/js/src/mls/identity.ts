// Who a device is to the others: its signature key, its key packages, and the numbers that two people
// compare.
import {
  decodeMlsMessage, defaultCapabilities, defaultLifetime, encodeMlsMessage, generateKeyPackageWithKey,
  type CiphersuiteImpl, type Credential, type KeyPackage, type PrivateKeyPackage,
} from 'ts-mls'

/** What the contract has as the id of a user or a device. */
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

/** A device, as the credential of its leaf names it. Neither name can have a slash. */
export interface Device {
  userId: string
  deviceId: string
}

export const nameOf = ({ userId, deviceId }: Device): string => `${userId}/${deviceId}`

export const credentialOf = (device: Device): Credential => ({
  credentialType: 'basic', identity: new TextEncoder().encode(nameOf(device)),
})

/**
 * The device that a credential names. Other kinds of credentials name none, and neither does one whose
 * ids are not those of the contract: they could look like another's on a screen.
 */
export function deviceOf(credential: Credential): Device | undefined {
  if (credential.credentialType !== 'basic') return undefined
  const identity = new TextDecoder('utf-8', { ignoreBOM: true }).decode((credential as { identity: Uint8Array }).identity)
  const [userId = '', deviceId = '', ...more] = identity.split('/')
  return ID.test(userId) && ID.test(deviceId) && more.length === 0 ? { userId, deviceId } : undefined
}

/** The keys with which a device signs; made once for each installation. */
export interface Identity {
  publicKey: Uint8Array
  signKey: Uint8Array
}

/** A key package and what only its device knows of it. */
export interface OwnKeyPackage {
  keyId: number
  public: Uint8Array
  private: PrivateKeyPackage
  lastResort?: true
}

export async function makeKeyPackage(cs: CiphersuiteImpl, device: Device, identity: Identity, keyId: number): Promise<OwnKeyPackage> {
  const { publicPackage, privatePackage } = await generateKeyPackageWithKey(
    credentialOf(device), defaultCapabilities(), defaultLifetime, [], identity, cs,
  )
  return { keyId, public: encodeKeyPackage(publicPackage), private: privatePackage }
}

export const encodeKeyPackage = (keyPackage: KeyPackage): Uint8Array =>
  encodeMlsMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage })

/** The key package in an MLSMessage; undefined if it is something else. */
export function decodeKeyPackage(bytes: Uint8Array): KeyPackage | undefined {
  const [message] = decodeMlsMessage(bytes, 0) ?? []
  return message?.wireformat === 'mls_key_package' ? message.keyPackage : undefined
}

/** By which name a welcome knows a key package (RFC 9420, 5.2): a hash with a label. */
export async function refOf(cs: CiphersuiteImpl, encoded: Uint8Array): Promise<string> {
  const label = new TextEncoder().encode('MLS 1.0 KeyPackage Reference')
  const keyPackage = encoded.subarray(4) // behind the version and the wire format
  const hashed = concat(vectorLength(label.length), label, vectorLength(keyPackage.length), keyPackage)
  return hex(await cs.hash.digest(hashed))
}

/** The length of a vector in RFC 9420's variable-size form. */
function vectorLength(n: number): Uint8Array {
  if (n < 1 << 6) return Uint8Array.of(n)
  if (n < 1 << 14) return Uint8Array.of(0x40 | (n >> 8), n & 0xff)
  return Uint8Array.of(0x80 | (n >>> 24), (n >> 16) & 0xff, (n >> 8) & 0xff, n & 0xff)
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

/** Sixty digits that are the same for two people if each sees the other's keys as they are. */
export async function safetyNumber(leaves: { name: string; publicKey: Uint8Array }[]): Promise<string> {
  const sorted = leaves.map(({ name, publicKey }) => `${name} ${hex(publicKey)}`).sort()
  const bytes = new TextEncoder().encode(sorted.join('\n'))
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-512', bytes as BufferSource))
  const groups: string[] = []
  for (let at = 0; at < 60; at += 5) {
    const n = digest.subarray(at, at + 5).reduce((sum, byte) => (sum * 256 + byte) % 100_000, 0)
    groups.push(String(n).padStart(5, '0'))
  }
  return groups.join(' ')
}
