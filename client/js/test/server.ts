// A real server for the tests, and the tokens that it takes.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export const secret = process.env.PARLEY_SECRET ?? 'the secret of the tests of the TypeScript client'
const binary = process.env.PARLEY_BINARY ?? join(import.meta.dirname, '../../../.bin/parley')

export class Server {
  #dir = mkdtempSync(join(tmpdir(), 'parley-client-'))
  #process: ChildProcess | undefined
  #args: string[]
  url = ''
  port = 0

  constructor(...args: string[]) {
    this.#args = args
  }

  protected flags(dir: string): string[] {
    return ['--store', `pebble:${dir}/store`, '--jwt-secret', secret, '--rate-send', '0', '--rate-read', '0']
  }

  /** Starts it, again on the same port and store after a stop. */
  async start(): Promise<this> {
    const child = spawn(binary, [
      'serve', ...this.flags(this.#dir), '--listen', `127.0.0.1:${this.port}`, '--drain-delay', '0s', ...this.#args,
    ], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = child
    await new Promise<void>((resolve, reject) => {
      const seen: string[] = []
      createInterface(child.stderr!).on('line', (line) => {
        seen.push(line)
        if (!line.includes('"listening"') || !line.includes('"http"')) return
        this.port = Number(/:(\d+)$/.exec(JSON.parse(line).addr)![1])
        this.url = `http://127.0.0.1:${this.port}`
        resolve()
      })
      child.on('error', reject)
      child.on('exit', () => reject(new Error(`the server ended:\n${seen.join('\n')}`)))
    })
    return this
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process
    if (!child || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.on('exit', resolve))
    child.kill(signal)
    await ended
  }

  /** Copies the store while the server runs. */
  backup(): void {
    execFileSync(binary, ['backup', '--store', `pebble:${this.#dir}/store`, `${this.#dir}/backup`], { stdio: 'ignore' })
  }

  /** Starts it again, with the store as it was at the backup. */
  async restore(): Promise<void> {
    await this.stop()
    rmSync(`${this.#dir}/store`, { recursive: true })
    execFileSync(binary, ['restore', '--store', `pebble:${this.#dir}/store`, `${this.#dir}/backup`], { stdio: 'ignore' })
    await this.start()
  }

  async remove(): Promise<void> {
    await this.stop('SIGKILL')
    rmSync(this.#dir, { recursive: true, force: true })
  }
}

/** A server as `parley serve --dev` starts it, but for the ports. */
export class DevServer extends Server {
  protected override flags(dir: string): string[] {
    return ['--dev', '--data', dir, '--mqtt-listen', '127.0.0.1:0', '--rate-send', '0', '--rate-read', '0']
  }
}

export function token(sub: string, seconds = 3600, scope = 'chat.read chat.write'): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const iat = Math.floor(Date.now() / 1000)
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, scope, iat, exp: iat + seconds })}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** How long a test waits for what it wants to see: a busy machine may be slow. Who looks for a fault waits less. */
export const patience = Number(process.env.PARLEY_WAIT ?? 240_000)

/** Waits until something holds. */
export async function until<T>(what: string, holds: () => T | Promise<T>, ms = patience): Promise<NonNullable<T>> {
  for (const end = Date.now() + ms; ; ) {
    const got = await holds()
    if (got) return got as NonNullable<T>
    if (Date.now() > end) throw new Error(`not seen: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
