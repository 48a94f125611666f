import { useEffect, useSyncExternalStore } from 'react'
import type { Client, ClientSnapshot } from './client.js'
import type { Observable } from './emitter.js'
import type { ThreadSnapshot } from './thread.js'

/** The present state of something that can be watched. */
export const useSnapshot = <T>(source: Observable<T>): T => useSyncExternalStore(source.subscribe, source.getSnapshot, source.getSnapshot)

/** The state of a client: its connection, its threads, who is online. */
export const useClient = (client: Client): ClientSnapshot => useSnapshot(client.view)

/** A thread with its messages; it is read when it is first shown. */
export function useThread(client: Client, id: string): ThreadSnapshot {
  const thread = client.thread(id)
  useEffect(() => {
    thread.open().catch(() => {}) // offline: it shows what the log has
  }, [thread])
  return useSnapshot(thread.view)
}
