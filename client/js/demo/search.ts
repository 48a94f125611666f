import { useEffect, useState } from 'react'
import type { StoredMessage, ThreadSummary } from '../src/index.js'
import { gone } from './format.js'
import type { Session } from './session.js'

export interface Hit {
  message: StoredMessage
  thread: ThreadSummary
  before: string
  found: string
  after: string
}

const AFTER_MS = 120 // since the last key
const AT_MOST = 50
const LEAD = 18 // characters before what was found

/** Looks through the local log, newest messages first. undefined: it is still looking, or nothing is asked. */
export function useSearch(session: Session, query: string): readonly Hit[] | undefined {
  const [hits, setHits] = useState<readonly Hit[]>()
  const wanted = query.trim().toLowerCase()
  useEffect(() => {
    setHits(undefined)
    if (wanted.length < 2) return
    let over = false
    const timer = setTimeout(() => {
      void look(session, wanted, () => over).then((found) => over || setHits(found), () => over || setHits([]))
    }, AFTER_MS)
    return () => {
      over = true
      clearTimeout(timer)
    }
  }, [session, wanted])
  return hits
}

async function look(session: Session, wanted: string, over: () => boolean): Promise<Hit[]> {
  const hits: Hit[] = []
  for (const thread of session.client.getSnapshot().threads) {
    let of = 0
    for await (const message of session.client.thread(thread.id).stored()) {
      if (over() || of >= AT_MOST) break
      const hit = message.content_type === 'text' && !gone(message) ? match(await session.secrecy.textOf(message), wanted) : undefined
      if (hit && ++of) hits.push({ message, thread, ...hit })
    }
  }
  return hits.sort((a, b) => (a.message.created_at < b.message.created_at ? 1 : -1)).slice(0, AT_MOST)
}

function match(text: string, wanted: string): Pick<Hit, 'before' | 'found' | 'after'> | undefined {
  const at = text.toLowerCase().indexOf(wanted)
  if (at < 0) return undefined
  const from = at > LEAD + 6 ? at - LEAD : 0
  return { before: (from > 0 ? '…' : '') + text.slice(from, at), found: text.slice(at, at + wanted.length), after: text.slice(at + wanted.length) }
}
