import type { Frame, Message, SendMessage } from './types.js'

/** Why a connection ended, and so what comes next. */
export type Ending =
  | 'lost' // the network, or the server fell silent: connect again, later and later
  | 'restart' // the server stops: connect again within a few seconds
  | 'token' // the token is refused or has ended: get a new one
  | 'taken_over' // a newer connection of this device is there: leave it
  | 'removed' // the device was removed
  | 'refused' // a fault of the client: do not loop

/** What a connection tells its client. */
export interface LinkEvents {
  /** A frame came. It is acknowledged when the promise resolves, never if it rejects. */
  frame(frame: Frame): Promise<void>
  opened(): void
  /** Said once, last of all. */
  ended(why: Ending, code?: number): void
  /** What goes over the wire, for who watches. */
  wire?(direction: 'in' | 'out', data: unknown, topic?: string): void
}

export interface LinkOptions {
  url: string // of the server, http or https
  token: string
  userId: string
  deviceId: string
}

/** One connection. All of its methods may be called after its end, and then do nothing. */
export interface Link {
  typing(threadId: string): void
  signal(threadId: string, name: string, data: string): void
  /** Gives the connection a new token. The frame `auth` says that it was taken. */
  authenticate(token: string): void
  /** Sends a message where the protocol can; rejects with ProblemError or, not knowing, with another Error. */
  send?(threadId: string, key: string, body: SendMessage): Promise<{ message: Message; differs: boolean }>
  /** Closes it with a goodbye, or cuts it off. */
  close(cut?: boolean): void
}

/** Makes connections: over JSON, or over MQTT. */
export interface Transport {
  readonly name: 'json' | 'mqtt'
  connect(options: LinkOptions, events: LinkEvents): Link | Promise<Link>
}

/** What a WebSocket's close code means (docs/contract.md#connecting). */
export function endingOf(code: number): Ending {
  switch (code) {
    case 1012:
    case 1001:
      return 'restart'
    case 4401:
      return 'token'
    case 4403:
      return 'removed'
    case 4409:
      return 'taken_over'
    case 4400:
    case 1009:
    case 1002:
    case 1003:
    case 1007:
      return 'refused'
    default:
      return 'lost'
  }
}

/** The address of realtime on a server. */
export function realtimeURL(server: string): URL {
  const url = new URL(server.replace(/\/$/, '') + '/v1/realtime')
  url.protocol = url.protocol.replace('http', 'ws')
  return url
}
