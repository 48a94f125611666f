// A TCP proxy that does to connections what networks do: it delays, cuts, and cuts in the middle of
// what it passes on. The same seed draws the same faults.
import { createServer, connect, type Server, type Socket } from 'node:net'

/** Mulberry32: numbers from 0 to 1, drawn by a seed. */
export function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export class FaultProxy {
  faults = true
  cuts = 0
  #server: Server
  #draw: () => number
  #sockets = new Set<Socket>()

  constructor(private target: number, seed: number) {
    this.#draw = random(seed)
    this.#server = createServer((client) => this.#pass(client))
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  stop(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #pass(client: Socket): void {
    const upstream = connect(this.target, '127.0.0.1')
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      this.#sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      // One chunk after the other: a delayed one holds up those behind it.
      let before = Promise.resolve()
      from.on('data', (chunk) => {
        before = before.then(async () => {
          if (this.faults) {
            const drawn = this.#draw()
            if (drawn < 0.1) await new Promise((resolve) => setTimeout(resolve, drawn * 400))
            else if (drawn < 0.15) {
              this.cuts++
              to.write(chunk.subarray(0, Math.floor(chunk.length * this.#draw())), () => {
                to.destroy()
                from.destroy()
              })
              return
            }
          }
          to.write(chunk)
        })
      })
    }
  }
}
