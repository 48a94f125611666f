import { endingOf, realtimeURL, type Link, type LinkEvents, type LinkOptions, type Transport } from './link.js'
import type { Frame } from './types.js'

type Socket = Pick<WebSocket, 'send' | 'close' | 'readyState' | 'onopen' | 'onmessage' | 'onclose' | 'onerror'>
type SocketClass = new (url: string, protocols: string[]) => Socket

/** The server pings every 30 s and gives up after 75 s; so does this side. */
const SILENCE_MS = 75_000
/** Acknowledgements of one burst go together. */
const ACK_DELAY_MS = 25

/** JSON frames over a WebSocket. Node before 22 has none: give it that of the package ws, or have it installed. */
export function jsonTransport(options: { WebSocket?: SocketClass } = {}): Transport {
  return {
    name: 'json',
    async connect(o, events) {
      const found = options.WebSocket ?? (globalThis as { WebSocket?: SocketClass }).WebSocket
      return new JSONLink(found ?? (await socketOfNode()), o, events)
    },
  }
}

async function socketOfNode(): Promise<SocketClass> {
  const name = 'ws' // not for bundlers
  return (await import(/* @vite-ignore */ name)).WebSocket as SocketClass
}

class JSONLink implements Link {
  #socket: Socket
  #events: LinkEvents
  #ended = false
  #watchdog: ReturnType<typeof setTimeout> | undefined
  #ackTimer: ReturnType<typeof setTimeout> | undefined
  // Frames that came and are not stored yet, and how far all before are.
  #waiting: { seq: number; stored: boolean }[] = []
  #stored = 0
  #acknowledged = 0

  constructor(socketClass: SocketClass, o: LinkOptions, events: LinkEvents) {
    this.#events = events
    const url = realtimeURL(o.url)
    url.searchParams.set('device_id', o.deviceId)
    const socket = new socketClass(url.href, ['parley.v1', `bearer.${o.token}`])
    this.#socket = socket
    socket.onopen = () => {
      this.#heard()
      events.opened()
    }
    socket.onmessage = (event) => this.#received(String(event.data))
    socket.onerror = () => {} // its end says it
    socket.onclose = (event) => this.#end(event.code)
    this.#heard()
  }

  #received(text: string): void {
    if (this.#ended) return
    this.#heard()
    const frame = JSON.parse(text) as Frame
    this.#events.wire?.('in', frame)
    if (frame.t === 'ping') this.#send({ t: 'pong' })
    const entry = { seq: frame.frame_seq, stored: false }
    this.#waiting.push(entry)
    this.#events.frame(frame).then(
      () => {
        entry.stored = true
        this.#advance()
      },
      () => {}, // not stored, so not acknowledged: it comes again at the next connection
    )
  }

  #advance(): void {
    let n = 0
    while (this.#waiting[n]?.stored) this.#stored = this.#waiting[n++]!.seq
    this.#waiting.splice(0, n)
    if (this.#stored > this.#acknowledged && !this.#ended) this.#ackTimer ??= setTimeout(() => this.#acknowledge(), ACK_DELAY_MS)
  }

  #acknowledge(): void {
    this.#ackTimer = undefined
    this.#acknowledged = this.#stored
    this.#send({ t: 'client_ack', frame_seq: this.#stored })
  }

  #heard(): void {
    clearTimeout(this.#watchdog)
    this.#watchdog = setTimeout(() => this.close(true), SILENCE_MS)
  }

  #send(frame: Record<string, unknown>, shown = frame): void {
    if (this.#ended || this.#socket.readyState !== 1) return
    this.#events.wire?.('out', shown)
    this.#socket.send(JSON.stringify(frame))
  }

  #end(code: number): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#watchdog)
    clearTimeout(this.#ackTimer)
    this.#events.ended(endingOf(code), code)
  }

  typing(threadId: string): void {
    this.#send({ t: 'typing', thread_id: threadId })
  }

  signal(threadId: string, name: string, data: string): void {
    this.#send({ t: 'signal', thread_id: threadId, name, data })
  }

  authenticate(token: string): void {
    this.#send({ t: 'auth', token }, { t: 'auth', token: '(a token)' })
  }

  close(cut = false): void {
    if (!cut && this.#ackTimer) this.#acknowledge()
    this.#socket.close()
    // The other side may be gone, and then its goodbye takes long.
    this.#end(1006)
  }
}
