// MQTT 5 over a WebSocket, with MQTT.js (a peer dependency, loaded at the first connection).
import type { IClientOptions, MqttClient, IPublishPacket } from 'mqtt'
import { endingOf, realtimeURL, type Ending, type Link, type LinkEvents, type LinkOptions, type Transport } from './link.js'
import { ProblemError } from './rest.js'
import { fromBase64 } from './bytes.js'
import type { Frame, Message, Problem, SendMessage } from './types.js'

export interface MQTTOptions {
  /** MQTT.js, if not to be loaded with import('mqtt'). */
  load?: () => Promise<{ connect(url: string, options: IClientOptions): MqttClient }>
}

export function mqttTransport(options: MQTTOptions = {}): Transport {
  const load = options.load ?? (async () => (await import('mqtt')).default)
  return {
    name: 'mqtt',
    connect: async (o, events) => new MQTTLink((await load()).connect, o, events),
  }
}

/** How long the answer to a message may take before it is asked for again. */
const ANSWER_MS = 20_000

class MQTTLink implements Link {
  #client: MqttClient
  #events: LinkEvents
  #device: string
  #ended = false
  #answers = new Map<string, (packet: IPublishPacket) => void>()
  #reused = new Set<number>() // the packets whose client_seq another message had

  constructor(connect: (url: string, options: IClientOptions) => MqttClient, o: LinkOptions, events: LinkEvents) {
    this.#events = events
    this.#device = o.deviceId
    const client = connect(realtimeURL(o.url).href, {
      protocolVersion: 5,
      clientId: o.deviceId,
      username: o.userId,
      password: o.token,
      clean: true,
      reconnectPeriod: 0,
      keepalive: 50,
      connectTimeout: 20_000,
      resubscribe: false,
      timerVariant: 'native', // not a worker from a blob, which a strict Content-Security-Policy refuses
    })
    this.#client = client
    // MQTT.js sends the PUBACK when this calls back: that is after storing.
    client.handleMessage = (packet, done) => {
      this.#received(packet).then(() => done(), (error: Error) => done(error))
    }
    client.on('connect', () => {
      client.subscribe('v1/#', { qos: 1 }, (error) => {
        if (error) this.#end('lost')
        else events.opened()
      })
    })
    client.on('packetreceive', (packet) => { // of a PUBACK, publish tells nothing but that it came
      if (packet.cmd === 'puback' && packet.properties?.reasonString === 'client_seq_reused') this.#reused.add(packet.messageId!)
    })
    client.on('disconnect', (packet) => this.#end(endingOfReason(packet.reasonCode ?? 0), packet.reasonCode))
    client.on('error', (error) => this.#end(endingOfReason((error as { code?: number }).code ?? 0), (error as { code?: number }).code))
    client.on('close', () => this.#end('lost'))
  }

  async #received(packet: IPublishPacket): Promise<void> {
    const text = packet.payload.toString()
    const correlation = packet.properties?.correlationData?.toString()
    if (packet.topic.endsWith('/replies')) {
      if (correlation !== undefined) this.#answers.get(correlation)?.(packet)
      return
    }
    const frame = JSON.parse(text) as Frame
    this.#events.wire?.('in', frame, packet.topic)
    await this.#events.frame(frame)
    if (packet.qos > 0) this.#events.wire?.('out', { puback: packet.messageId })
  }

  /** Publishes, and gives the id of the packet once it is acknowledged. */
  #publish(topic: string, payload: string | Uint8Array, qos: 0 | 1, shown: unknown, properties?: IClientOptions['properties'] & object): Promise<number | undefined> {
    if (this.#ended) return Promise.reject(new Error('the connection has ended'))
    this.#events.wire?.('out', shown, topic)
    return new Promise((resolve, reject) => {
      this.#client.publish(topic, typeof payload === 'string' ? payload : (payload as never), { qos, properties: properties as never }, (error, packet) =>
        error ? reject(error) : resolve(packet?.messageId),
      )
    })
  }

  typing(threadId: string): void {
    this.#publish(`v1/threads/${threadId}/typing`, '', 0, '').catch(() => {})
  }

  signal(threadId: string, name: string, data: string): void {
    this.#publish(`v1/threads/${threadId}/signals/${name}`, fromBase64(data), 0, data).catch(() => {})
  }

  authenticate(token: string): void {
    this.#publish(`v1/devices/${this.#device}/auth`, token, 1, '(a token)').catch(() => {})
  }

  /** The PUBACK says whether another message was kept; the answer that comes beside it says which. */
  async send(threadId: string, key: string, body: SendMessage): Promise<{ message: Message; differs: boolean }> {
    let acknowledged: Promise<number | undefined> | undefined
    const message = await new Promise<Message>((resolve, reject) => {
      const timer = setTimeout(() => finish(() => reject(new Error('no answer'))), ANSWER_MS)
      const finish = (then: () => void) => {
        clearTimeout(timer)
        this.#answers.delete(key)
        then()
      }
      this.#answers.set(key, (packet) =>
        finish(() => {
          const answer: unknown = JSON.parse(packet.payload.toString())
          this.#events.wire?.('in', answer, packet.topic)
          if (packet.properties?.contentType !== 'application/problem+json') return resolve(answer as Message)
          const problem = answer as Problem
          reject(new ProblemError(problem.status, problem, null))
        }),
      )
      acknowledged = this.#publish(`v1/threads/${threadId}/messages`, JSON.stringify(body), 1, body, {
        responseTopic: `v1/devices/${this.#device}/replies`,
        correlationData: new TextEncoder().encode(key) as never,
      } as never)
      acknowledged.catch((error: unknown) => {
        // A PUBACK that refuses comes with the answer that says why; everything else is the connection's end.
        if (typeof (error as { code?: unknown }).code !== 'number') finish(() => reject(error))
      })
    })
    const packet = await acknowledged
    return { message, differs: packet !== undefined && this.#reused.delete(packet) }
  }

  #end(why: Ending, code?: number): void {
    if (this.#ended) return
    this.#ended = true
    this.#client.on('error', () => {})
    this.#client.end(true)
    this.#events.ended(why, code)
  }

  close(cut = false): void {
    if (!cut && !this.#ended) this.#client.end(false)
    this.#end('lost')
  }
}

/** What the reason code of a CONNACK or DISCONNECT means (docs/contract.md#connecting). */
function endingOfReason(code: number): Ending {
  switch (code) {
    case 0x8b:
      return 'restart'
    case 0x86:
    case 0x87:
      return 'token'
    case 0x8e:
      return 'taken_over'
    case 0x98:
      return 'removed'
    case 0x81:
    case 0x82:
    case 0x85:
    case 0x90:
    case 0x93:
    case 0x95:
      return 'refused'
    default:
      return endingOf(code)
  }
}
