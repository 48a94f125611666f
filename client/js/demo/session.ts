// A person of the demo: a client, its encryption, and what its inspector shows.
import { Client, jsonTransport, type Call } from '../src/index.js'
import { Changing } from '../src/emitter.js'
import { IndexedDBStorage } from '../src/indexeddb.js'
import { mqttTransport } from '../src/mqtt.js'
import { deviceKey, forgetKept, kept, logName, protocolKey } from './kept.js'
import { people } from './people.js'
import { Secrecy } from './secrecy.js'

export type Person = string

/** One line of the inspector. */
export interface Entry {
  n: number
  at: number
  kind: 'in' | 'out' | 'rest'
  title: string
  detail: string
  data: unknown
  topic?: string
  failed?: boolean
}

const KEPT = 300

export class Session {
  readonly client: Client
  readonly secrecy: Secrecy
  readonly entries = new Changing<{ entries: readonly Entry[]; frameSeq: number; acknowledged: number }>(() => ({
    entries: this.#entries, frameSeq: this.#frameSeq, acknowledged: this.#acknowledged,
  }))
  readonly toasts = new Changing<readonly { n: number; text: string }[]>(() => this.#toasts)
  readonly network = new Changing<boolean>(() => this.#offline)

  #entries: Entry[] = []
  #n = 0
  #frameSeq = 0
  #acknowledged = 0
  #toasts: { n: number; text: string }[] = []
  #offline = false
  #told = false
  #tabs: BroadcastChannel // of this person

  constructor(readonly person: Person, token: () => Promise<string>) {
    this.client = new Client({
      url: location.origin,
      userId: person,
      deviceId: deviceOf(person),
      token,
      storage: new IndexedDBStorage(logName(person)),
      transport: this.#transport(),
      fetch: (input, init) => (this.#offline ? Promise.reject(new TypeError('offline')) : fetch(input, init)),
      onCall: (call) => this.#call(call),
      onWire: (direction, data, topic) => this.#wire(direction, data, topic),
    })
    this.secrecy = new Secrecy(this.client, (text) => this.toast(text))
    this.client.events.on('caught_up', ({ replayed }) => {
      if (this.#told && replayed > 0) this.toast(`Back online, caught up with ${replayed} ${replayed === 1 ? 'event' : 'events'}`)
      this.#told = true
    })
    this.client.events.on('poisoned', ({ problem }) => this.toast(`A message could not be sent: ${problem?.detail}`))
    this.client.events.on('store_changed', () => this.toast('The server has another store: reading everything anew'))
    this.#tabs = new BroadcastChannel(kept(person))
    this.#tabs.onmessage = () => location.reload() // it was forgotten: nothing that is here may be written again
  }

  /** Ends it: nothing of its storage is in use after that. */
  close(): void {
    this.#tabs.onmessage = null
    this.client.close()
  }

  /** Tells the other tabs that this person was forgotten. */
  tellTabs(): void {
    this.#tabs.postMessage('forgotten')
    this.#tabs.close()
  }

  get protocol(): 'json' | 'mqtt' {
    return localStorage.getItem(protocolKey(this.person)) === 'mqtt' ? 'mqtt' : 'json'
  }

  #transport = () => (this.protocol === 'mqtt' ? mqttTransport() : jsonTransport())

  use(protocol: 'json' | 'mqtt'): void {
    localStorage.setItem(protocolKey(this.person), protocol)
    this.client.use(this.#transport())
  }

  get offline(): boolean {
    return this.#offline
  }

  setOffline(offline: boolean): void {
    this.#offline = offline
    if (offline) this.client.disconnect()
    else void this.client.connect()
    this.network.changed()
  }

  toast(text: string): void {
    const toast = { n: ++this.#n, text }
    this.#toasts = [...this.#toasts, toast].slice(-3)
    this.toasts.changed()
    setTimeout(() => {
      this.#toasts = this.#toasts.filter((t) => t !== toast)
      this.toasts.changed()
    }, 4500)
  }

  /** Does something that the server may refuse, and says so. */
  try = async (what: Promise<unknown>): Promise<void> => {
    try {
      await what
    } catch (error) {
      this.toast(this.#offline ? 'You are offline' : String(error instanceof Error ? error.message : error))
    }
  }

  clear(): void {
    this.#entries = []
    this.entries.changed()
  }

  #call(call: Call): void {
    const { method, path, status, ms, request, response, retryInMs } = call
    const detail = `${status || 'no answer'} · ${ms} ms${retryInMs !== undefined ? ` · again in ${retryInMs} ms` : ''}`
    this.#add({ kind: 'rest', title: `${method} ${shorten(path)}`, detail, data: { request, response }, failed: status === 0 || status >= 400 })
  }

  #wire(kind: 'in' | 'out', data: unknown, topic?: string): void {
    const frame = (typeof data === 'object' && data !== null ? data : { data }) as Record<string, unknown>
    const seq = frame.frame_seq
    if (kind === 'in' && typeof seq === 'number') this.#frameSeq = seq
    if (frame.t === 'client_ack' && typeof seq === 'number') this.#acknowledged = seq
    if ('puback' in frame) this.#acknowledged++
    const title = String(frame.t ?? ('puback' in frame ? 'PUBACK' : 'publish'))
    const detail = [
      typeof seq === 'number' ? `frame ${seq}` : '',
      'seq' in frame ? `seq ${frame.seq}` : '',
      typeof frame.event === 'string' ? frame.event : '',
      'puback' in frame ? `packet ${frame.puback}` : '',
    ].filter(Boolean).join(' · ')
    this.#add({ kind, title, detail, data, topic: topic && shorten(topic) })
  }

  #add(entry: Omit<Entry, 'n' | 'at'>): void {
    const whole: Entry = { ...entry, n: ++this.#n, at: Date.now() }
    this.#entries = [...this.#entries.slice(1 - KEPT), whole]
    this.entries.changed()
  }
}

const shorten = (path: string): string =>
  path.replace(/^\/?v1\//, '').replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, (id) => `…${id.slice(-4)}`).replace(/\b[0-9A-Z]{26}\b/g, (id) => `…${id.slice(-4)}`)

function deviceOf(person: Person): string {
  const name = deviceKey(person)
  const known = people.deviceOf(person) ?? localStorage.getItem(name)
  if (known) return known
  const made = `browser-${crypto.randomUUID().slice(0, 8)}`
  localStorage.setItem(name, made)
  return made
}

const sessions = new Map<Person, Session>()

/** The session of a person, connected when it is first asked for. */
export function sessionOf(person: Person): Session {
  let session = sessions.get(person)
  if (!session) {
    session = new Session(person, () => people.token(person))
    sessions.set(person, session)
    void session.client.connect()
    setTimeout(() => session!.secrecy.open()) // after the page is shown
  }
  return session
}

/** Forgets what this browser has of a person: its log, its outbox, its keys, what it wrote, which device it is. */
export async function forget(person: Person): Promise<void> {
  const session = sessions.get(person)
  session?.setOffline(true) // nothing that is under way waits for the network
  await session?.secrecy.close()
  session?.close()
  sessions.delete(person)
  const gone = forgetKept(person)
  session?.tellTabs()
  await gone
}

window.addEventListener('online', () => sessions.forEach((s) => s.client.hurry()))
