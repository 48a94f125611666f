import { committed, done } from '../idb.js'

/** Changes that are made together or not at all. undefined takes an entry out. */
export type SecretChanges = ReadonlyMap<string, unknown>

/**
 * Where a device keeps its keys, the state of its groups and the texts that it has decrypted. A text
 * can be decrypted once, so what is lost here cannot be read again. A write that resolved survives a
 * reload. Whoever reads it reads everything: keep it as you keep passwords.
 */
export interface SecretStore {
  get<T>(key: string): Promise<T | undefined>
  write(changes: SecretChanges): Promise<void>
  close(): void
}

/** What is known could not be read or kept. It says nothing of what was looked at, which is looked at again. */
export class NotStored extends Error {
  override name = 'NotStored'
  constructor(cause: unknown) {
    super(`the secrets cannot be used: ${cause}`, { cause })
  }
}

/** Keeps everything in memory: a device that ends with its process. */
export class MemorySecrets implements SecretStore {
  #entries = new Map<string, unknown>()

  async get<T>(key: string) {
    return structuredClone(this.#entries.get(key)) as T | undefined
  }

  async write(changes: SecretChanges) {
    for (const [key, value] of changes) {
      if (value === undefined) this.#entries.delete(key)
      else this.#entries.set(key, structuredClone(value))
    }
  }

  close() {}
}

/** Keeps them in IndexedDB, in a database of this name: one for each user and device. */
export class IndexedDBSecrets implements SecretStore {
  #db: Promise<IDBDatabase>

  constructor(name: string, factory: IDBFactory = indexedDB) {
    const request = factory.open(name, 1)
    request.onupgradeneeded = () => request.result.createObjectStore('secrets')
    this.#db = done(request)
    this.#db.catch(() => {}) // every method says it
  }

  async get<T>(key: string) {
    return done((await this.#db).transaction('secrets').objectStore('secrets').get(key)) as Promise<T | undefined>
  }

  async write(changes: SecretChanges) {
    const tx = (await this.#db).transaction('secrets', 'readwrite', { durability: 'strict' })
    const written = committed(tx)
    for (const [key, value] of changes) {
      if (value === undefined) tx.objectStore('secrets').delete(key)
      else tx.objectStore('secrets').put(value, key)
    }
    return written
  }

  close() {
    this.#db.then((db) => db.close(), () => {})
  }
}
