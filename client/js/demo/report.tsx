import { useState } from 'react'
import type { ReportReason, StoredMessage } from '../src/index.js'
import { blockedOf } from './blocked.js'
import { nameOf } from './format.js'
import { Said } from './said.js'
import type { Session } from './session.js'
import { Dialog } from './ui.js'

const REASONS: readonly (readonly [ReportReason, string])[] = [
  ['spam', 'Spam'], ['abuse', 'Insults, threats or hate'], ['illegal', 'Something illegal'], ['other', 'Something else'],
]

/** Tells those who run the server about a message. */
export function Report({ session, message, onClose }: { session: Session; message: StoredMessage; onClose: () => void }) {
  const [reason, setReason] = useState<ReportReason>()
  const [note, setNote] = useState('')
  const [block, setBlock] = useState(false)
  const sender = nameOf(message.sender_id)
  const send = async () => {
    onClose()
    await session.try(session.client.report(message.id, reason!, note.trim() || undefined).then(() => session.toast('Thank you, the message is reported')))
    if (block) await blockedOf(session).block(message.sender_id)
  }
  return (
    <Dialog title="Report a message" onClose={onClose}>
      <blockquote className="quoted">
        <Said session={session} message={message} />
      </blockquote>
      <fieldset className="choices">
        <legend>What is wrong with it?</legend>
        {REASONS.map(([value, label]) => (
          <label key={value}>
            <input type="radio" name="reason" checked={reason === value} onChange={() => setReason(value)} />
            {label}
          </label>
        ))}
      </fieldset>
      <textarea className="field" rows={2} maxLength={1000} placeholder="Anything to add?" aria-label="Note" value={note} onChange={(e) => setNote(e.target.value)} />
      <label className="choice">
        <input type="checkbox" checked={block} onChange={(e) => setBlock(e.target.checked)} />
        Block {sender} too
      </label>
      <p className="facts">Those who run this server see who reports which message, and why. {sender} is not told.</p>
      <button type="button" className="danger wide" disabled={!reason} onClick={() => void send()}>
        Report
      </button>
    </Dialog>
  )
}
