import { fromBase64 } from '../bytes.js'
import { hex } from './identity.js'
import type { SecretStore } from './secrets.js'

/** Why a message cannot be read on this device. */
export type Unreadable =
  | 'before_joining' // it was sent while this device was in no group: only other devices can read it
  | 'no_key' // its key is gone, or was never there
  | 'not_encrypted' // it is no MLS message: who sent it did not encrypt it
  | 'another_sender' // it is of somebody else than the server says
  | 'another_thread' // it was written in another thread than the server says

/** What a message says, or why that is not known. */
export type Revealed =
  | { text: string; by?: string; thread?: string; again?: true } // the user whose device has signed it, and where; whether it was sent again to this device
  | { why: Unreadable }

/**
 * The texts of messages. They are kept by the hash of the ciphertext, which a message has on its way
 * out already; the id of a message leads to it, so that a deleted one is forgotten.
 */
export class Texts {
  #shown = new Map<string, Revealed>()
  /** Shown ciphertexts that could not be read, by their keys. */
  #unread = new Map<string, string>()
  /** What was found since the start, by its key. */
  #found = new Map<string, Revealed>()

  constructor(private secrets: SecretStore, private told: () => void) {}

  /** What a message says, as far as it was loaded or decrypted since the start. */
  shown(ciphertext: string): Revealed | undefined {
    return this.#shown.get(ciphertext)
  }

  async load(ciphertext: string): Promise<Revealed | undefined> {
    const shown = this.#shown.get(ciphertext)
    if (shown) return shown
    const key = await textKey(ciphertext)
    const stored = await this.secrets.get<Revealed>(key)
    const revealed = this.#found.get(key) ?? stored
    if (revealed) this.#show(ciphertext, key, revealed)
    return revealed
  }

  /** Whether the text is there, in the changes or stored. What is only shown does not count: it may never have been written. */
  async known(changes: ReadonlyMap<string, unknown>, ciphertext: string): Promise<boolean> {
    const key = await textKey(ciphertext)
    const revealed = (changes.get(key) ?? (await this.secrets.get(key))) as Revealed | undefined
    return revealed !== undefined && 'text' in revealed
  }

  async keep(changes: Map<string, unknown>, ciphertext: string, revealed: Revealed, id?: string): Promise<void> {
    const key = await textKey(ciphertext)
    changes.set(key, revealed)
    if (id) await this.name(changes, id, ciphertext)
    this.#show(ciphertext, key, revealed)
    this.told()
  }

  #show(ciphertext: string, key: string, revealed: Revealed): void {
    this.#shown.set(ciphertext, revealed)
    if ('why' in revealed) this.#unread.set(key, ciphertext)
  }

  /** What the message with this id says now, by the hash of its ciphertext. Undefined for a message that was not seen, or was deleted. */
  async of(changes: ReadonlyMap<string, unknown>, id: string): Promise<{ hash: string; revealed: Revealed | undefined } | undefined> {
    const read = async (key: string) => (changes.has(key) ? changes.get(key) : this.secrets.get(key))
    const key = (await read(idKey(id))) as string | undefined
    return key === undefined ? undefined : { hash: key.slice(PREFIX.length), revealed: (await read(key)) as Revealed | undefined }
  }

  /** Keeps a text that did not come from the ciphertext of this hash. */
  found(changes: Map<string, unknown>, hash: string, revealed: Revealed): void {
    const key = PREFIX + hash
    changes.set(key, revealed)
    this.#found.set(key, revealed)
    const ciphertext = this.#unread.get(key)
    if (ciphertext !== undefined) this.#shown.set(ciphertext, revealed)
    this.told()
  }

  /** Notes which message it is. The text that the message had before an edit goes. */
  async name(changes: Map<string, unknown>, id: string, ciphertext: string): Promise<void> {
    const key = await textKey(ciphertext)
    const before = (changes.get(idKey(id)) ?? (await this.secrets.get<string>(idKey(id)))) as string | undefined
    if (before && before !== key) changes.set(before, undefined)
    changes.set(idKey(id), key)
  }

  async forget(changes: Map<string, unknown>, id: string): Promise<void> {
    const key = (changes.get(idKey(id)) ?? (await this.secrets.get<string>(idKey(id)))) as string | undefined
    if (key) {
      changes.set(key, undefined)
      this.#found.delete(key)
    }
    changes.set(idKey(id), undefined)
    this.told()
  }
}

const PREFIX = 'text/'

const idKey = (id: string): string => `message/${id}`

async function textKey(ciphertext: string): Promise<string> {
  return PREFIX + hex(new Uint8Array(await crypto.subtle.digest('SHA-256', fromBase64(ciphertext) as BufferSource)))
}
