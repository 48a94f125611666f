import { backoff, pause } from './emitter.js'
import type { Tokens } from './tokens.js'
import type { Problem } from './types.js'

/** A refusal of the server. Decide by `code`. */
export class ProblemError extends Error {
  override name = 'ProblemError'
  readonly code: string
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
    readonly requestId: string | null,
    readonly retryAfterMs = 0,
  ) {
    super(problem.detail || problem.title || `the server answered ${status}`)
    this.code = problem.code ?? 'unknown'
  }
}

/** One exchange, for who watches. */
export interface Call {
  method: string
  path: string
  status: number // 0: no answer
  ms: number
  request?: unknown
  response?: unknown
  retryInMs?: number
}

export interface RestOptions {
  url: string
  tokens: Tokens
  deviceId: string
  fetch: typeof fetch
  onCall?: (call: Call) => void
  timeoutMs?: number
}

export interface RequestOptions {
  query?: Record<string, string | number | undefined>
  body?: unknown
  idempotencyKey?: string
  attempts?: number
  signal?: AbortSignal
}

export interface Answer<T> {
  status: number
  body: T
  headers: Headers
}

/** Statuses after which the same request may succeed. */
const transient = (status: number): boolean => status === 0 || status === 408 || status === 429 || status >= 500

/** The HTTP API. It tries again what may succeed, as late as Retry-After says; every call here may be repeated safely. */
export class Rest {
  constructor(private options: RestOptions) {}

  async get<T>(path: string, query?: RequestOptions['query']): Promise<T> {
    return (await this.request<T>('GET', path, { query })).body
  }

  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<Answer<T>> {
    const attempts = options.attempts ?? 5
    let renewed = false
    for (let attempt = 0; ; attempt++) {
      const started = Date.now()
      let error: unknown
      let status = 0
      let after = 0
      let seen: unknown
      try {
        const answer = await this.#once<T>(method, path, options)
        status = answer.status
        after = Number(answer.headers.get('Retry-After')) * 1000
        seen = answer.body
        // A 409 that is no problem is the Message that was sent before.
        if (status < 400 || (status === 409 && !isProblem(answer.headers))) {
          this.#tell({ method, path, status, ms: Date.now() - started, request: options.body, response: seen })
          return answer
        }
        error = new ProblemError(status, (seen ?? {}) as Partial<Problem>, answer.headers.get('X-Request-Id'), after || 0)
      } catch (e) {
        error = e
      }
      const again = status === 401 ? !renewed : transient(status) && attempt + 1 < attempts && !options.signal?.aborted
      const wait = status === 401 ? 0 : Math.max(after || 0, backoff(attempt, 300, 10_000))
      this.#tell({
        method, path, status, ms: Date.now() - started, request: options.body, response: seen ?? String(error),
        ...(again ? { retryInMs: Math.round(wait) } : {}),
      })
      if (!again) throw error
      if (status === 401) {
        renewed = true
        await this.options.tokens.renew()
      }
      await pause(wait, options.signal)
    }
  }

  async #once<T>(method: string, path: string, options: RequestOptions): Promise<Answer<T>> {
    const url = new URL(this.options.url.replace(/\/$/, '') + path)
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value))
    }
    const headers: Record<string, string> = {
      Authorization: `Bearer ${await this.options.tokens.get()}`,
      'X-Device-Id': this.options.deviceId,
    }
    if (options.idempotencyKey) headers['Idempotency-Key'] = options.idempotencyKey
    const init: RequestInit = { method, headers }
    if (options.body !== undefined) {
      headers['Content-Type'] = 'application/json'
      init.body = JSON.stringify(options.body)
    }
    const limit = AbortSignal.timeout(this.options.timeoutMs ?? 20_000)
    init.signal = options.signal ? AbortSignal.any([limit, options.signal]) : limit
    const response = await this.options.fetch(url, init)
    const text = await response.text()
    let body: unknown
    if (text !== '') {
      try {
        body = JSON.parse(text)
      } catch (error) {
        // Cut off on its way, or the page of a proxy: a body that is no JSON says nothing.
        if (response.ok) throw error
      }
    }
    return { status: response.status, body: body as T, headers: response.headers }
  }

  #tell(call: Call): void {
    this.options.onCall?.(call)
  }
}

const isProblem = (headers: Headers): boolean => headers.get('Content-Type')?.startsWith('application/problem+json') ?? false
