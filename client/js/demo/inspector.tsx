import { useState } from 'react'
import { useSnapshot } from '../src/react.js'
import type { Entry, Session } from './session.js'
import { IconButton } from './ui.js'

const clock = new Intl.DateTimeFormat(undefined, { hourCycle: 'h23', hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3 })
const ARROWS = { in: '↓', out: '↑', rest: '⇄' } as const

/** What this client says and hears: frames and calls, newest first. */
export function Inspector({ session, onClose }: { session: Session; onClose: () => void }) {
  const { entries, frameSeq, acknowledged } = useSnapshot(session.entries)
  const [show, setShow] = useState<'all' | 'frames' | 'rest'>('all')
  const shown = entries.filter((e) => show === 'all' || (e.kind === 'rest') === (show === 'rest')).toReversed().slice(0, 120)
  return (
    <aside className="inspector" aria-label={`Inspector of ${session.person}`}>
      <header>
        <h3>Inspector</h3>
        <div className="segments small" role="radiogroup" aria-label="What is shown">
          {(['all', 'frames', 'rest'] as const).map((s) => (
            <button key={s} type="button" role="radio" aria-checked={s === show} onClick={() => setShow(s)}>
              {s === 'all' ? 'All' : s === 'frames' ? 'Frames' : 'REST'}
            </button>
          ))}
        </div>
        <span className="spacer" />
        <IconButton icon="trash" label="Clear" size={16} onClick={() => session.clear()} />
        <IconButton icon="close" label="Close the inspector" size={16} onClick={onClose} />
      </header>
      <dl className="gauges">
        <div>
          <dt>Protocol</dt>
          <dd>{session.protocol === 'mqtt' ? 'MQTT 5' : 'JSON'}</dd>
        </div>
        <div>
          <dt>Last frame</dt>
          <dd>{frameSeq}</dd>
        </div>
        <div>
          <dt>Acknowledged</dt>
          <dd>{acknowledged}</dd>
        </div>
        <div>
          <dt>Device</dt>
          <dd>{session.client.deviceId.slice(-8)}</dd>
        </div>
      </dl>
      <ol className="entries" tabIndex={0} aria-label="Frames and calls">
        {shown.map((entry) => (
          <Line key={entry.n} session={session} entry={entry} />
        ))}
      </ol>
    </aside>
  )
}

function Line({ session, entry }: { session: Session; entry: Entry }) {
  const written = writtenOf(entry)
  const seen = written && session.secrecy.inspect(written.ciphertext)
  const detail = seen?.kind === 'commit' ? `commit, epoch ${written?.epoch ?? seen.epoch + 1} · ${entry.detail}` : entry.detail
  const [open, setOpen] = useState(false)
  return (
    <li className={`entry ${entry.kind} ${entry.failed ? 'failed' : ''}`}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className="arrow" aria-label={entry.kind === 'in' ? 'received' : entry.kind === 'out' ? 'sent' : 'call'}>
          {ARROWS[entry.kind]}
        </span>
        <span className="entry-title">{entry.title}</span>
        <span className="entry-detail">{detail}</span>
        <time>{clock.format(entry.at)}</time>
      </button>
      {open && (
        <div className="entry-body">
          {entry.topic && <p>{entry.topic}</p>}
          {written && <Written session={session} written={written} />}
          <pre tabIndex={0}>{JSON.stringify(entry.data, null, 2)}</pre>
        </div>
      )}
    </li>
  )
}

/** A message in a frame or a call: what was sent, and what came back. */
interface WrittenMessage {
  ciphertext: string
  thread_id: string
  sender_id?: string
  epoch?: number
}

function writtenOf({ data }: Entry): WrittenMessage | undefined {
  const { request, response } = (data ?? {}) as { request?: unknown; response?: unknown }
  for (const part of [data, response, request]) {
    const found = part as Partial<WrittenMessage> | undefined
    if (typeof found?.ciphertext === 'string' && found.ciphertext !== '') {
      return { ciphertext: found.ciphertext, thread_id: found.thread_id ?? '', sender_id: found.sender_id, epoch: found.epoch }
    }
  }
  return undefined
}

/** A ciphertext beside what this device makes of it. */
function Written({ session, written }: { session: Session; written: WrittenMessage }) {
  const { ciphertext } = written
  const seen = session.secrecy.inspect(ciphertext)
  const shown = ciphertext.length > 96 ? `${ciphertext.slice(0, 96)}…` : ciphertext
  return (
    <dl className="written">
      <dt>{seen ? `Ciphertext, ${seen.bytes} bytes` : 'Base64, not encrypted'}</dt>
      <dd className="cipher">{shown}</dd>
      <dt>{seen?.kind === 'commit' ? 'Is' : seen ? `Decrypts to, epoch ${seen.epoch}` : 'Decodes to'}</dt>
      <dd>{seen?.kind === 'commit' ? `a commit that begins epoch ${written.epoch ?? seen.epoch + 1}${seen.welcome ? ', with a welcome for who is let in' : ''}` : session.secrecy.contentOf(written).text}</dd>
    </dl>
  )
}
