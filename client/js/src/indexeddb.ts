import { committed, done } from './idb.js'
import type { Changes, Outgoing, Storage, StoredMessage, StoredThread } from './storage.js'

/** Keeps the log in IndexedDB, in a database of this name: one for each user and device. */
export class IndexedDBStorage implements Storage {
  #db: Promise<IDBDatabase>

  constructor(name: string, factory: IDBFactory = indexedDB) {
    const request = factory.open(name, 1)
    request.onupgradeneeded = () => {
      const db = request.result
      db.createObjectStore('meta')
      db.createObjectStore('threads', { keyPath: 'id' })
      // Within a thread the order of ids is the order of messages.
      db.createObjectStore('messages', { keyPath: ['thread_id', 'id'] })
      db.createObjectStore('outgoing', { keyPath: 'n' })
    }
    this.#db = done(request)
    this.#db.catch(() => {}) // every method says it
  }

  async load() {
    const tx = (await this.#db).transaction(['meta', 'threads', 'outgoing'])
    const [storeId, threads, outgoing] = await Promise.all([
      done(tx.objectStore('meta').get('store_id')) as Promise<string | undefined>,
      done(tx.objectStore('threads').getAll()) as Promise<StoredThread[]>,
      done(tx.objectStore('outgoing').getAll()) as Promise<Outgoing[]>,
    ])
    return { storeId, threads, outgoing }
  }

  async message(threadId: string, id: string) {
    const store = (await this.#db).transaction('messages').objectStore('messages')
    return done(store.get([threadId, id])) as Promise<StoredMessage | undefined>
  }

  async messages(threadId: string, before: string | undefined, limit: number) {
    const store = (await this.#db).transaction('messages').objectStore('messages')
    const range = IDBKeyRange.bound([threadId, ''], [threadId, before ?? '\uffff'], false, true)
    const found: StoredMessage[] = []
    const request = store.openCursor(range, 'prev')
    return new Promise<StoredMessage[]>((resolve, reject) => {
      request.onerror = () => reject(request.error)
      request.onsuccess = () => {
        const cursor = request.result
        if (!cursor || found.length >= limit) return resolve(found)
        found.push(cursor.value as StoredMessage)
        cursor.continue()
      }
    })
  }

  async write(changes: Changes) {
    const tx = (await this.#db).transaction(['meta', 'threads', 'messages', 'outgoing'], 'readwrite')
    const written = committed(tx)
    if (changes.forget) {
      tx.objectStore('threads').clear()
      tx.objectStore('messages').clear()
    }
    if (changes.storeId !== undefined) tx.objectStore('meta').put(changes.storeId, 'store_id')
    for (const thread of changes.threads ?? []) tx.objectStore('threads').put(thread)
    for (const message of changes.messages ?? []) tx.objectStore('messages').put(message)
    for (const item of changes.outgoing ?? []) tx.objectStore('outgoing').put(item)
    for (const n of changes.sent ?? []) tx.objectStore('outgoing').delete(n)
    return written
  }

  close() {
    this.#db.then((db) => db.close(), () => {})
  }
}
