import { useEffect, useState } from 'react'
import type { ThreadSnapshot } from '../src/index.js'
import { useSnapshot } from '../src/react.js'
import { nameOf } from './format.js'
import type { Session } from './session.js'
import { Avatar, Dialog } from './ui.js'

/** In a larger group the numbers are shown one by one. */
const SHOWN = 4

/** The numbers by which people make sure that nobody stands between them, and what encryption here does and does not do. */
export function Verify({ session, thread, onClose }: { session: Session; thread: ThreadSnapshot; onClose: () => void }) {
  const { standings } = useSnapshot(session.secrecy.view)
  const encrypted = standings.get(thread.id)?.state === 'in'
  const others = thread.participants.filter((p) => p.user_id !== session.person)
  return (
    <Dialog title={encrypted ? 'Verify encryption' : 'Encryption'} onClose={onClose}>
      {encrypted ? (
        <>
          <p className="facts">
            Compare these digits with {others.length === 1 ? nameOf(others[0]!.user_id) : 'each person'}, face to face or on the phone. If both of you see the same,
            nobody stands between.
          </p>
          {others.map((p) => (
            <SafetyNumber key={p.user_id} session={session} threadId={thread.id} userId={p.user_id} open={others.length <= SHOWN} />
          ))}
        </>
      ) : (
        <p className="facts">This conversation is not encrypted on this device: there is nothing to compare.</p>
      )}
      <h3>What to know</h3>
      <ul className="knowledge">
        <li>Texts are encrypted on your device (MLS, RFC 9420) and decrypted on those of the others. The server never has a key.</li>
        <li>The server sees who writes to whom, when and how much, who reads, reactions, titles and pins.</li>
        <li>Keys are trusted on first use. Until you compare, the server could have put a device of its own among theirs.</li>
        <li>A device reads what is sent after it was let in. What was sent before, or what it has lost with its browser data, comes only if somebody who has it agrees to send it again.</li>
        <li>
          This browser keeps keys, texts, drafts and what waits to be encrypted as they are. Whoever can read its data reads them; they go when you sign out, start as a new device, or
          delete its data.
        </li>
        <li>Neither this code nor the library beneath was audited.</li>
      </ul>
    </Dialog>
  )
}

/** Sixty digits in groups of five. They change when a device comes or goes. */
function SafetyNumber({ session, threadId, userId, open }: { session: Session; threadId: string; userId: string; open: boolean }) {
  const { secrecy } = session
  const { standings } = useSnapshot(secrecy.view)
  const [shown, setShown] = useState(open)
  const [number, setNumber] = useState<{ digits: string | undefined }>()
  const standing = standings.get(threadId)
  useEffect(() => {
    if (!shown) return
    let current = true
    void secrecy.safetyNumber(threadId, userId).catch(() => undefined).then((digits) => current && setNumber({ digits }))
    return () => {
      current = false
    }
  }, [secrecy, threadId, userId, standing, shown])
  const digits = number?.digits
  const compared = secrecy.comparedWith(threadId, userId)
  const name = nameOf(userId)
  return (
    <div className="safety">
      <p>
        <Avatar name={userId} size={28} />
        <span>
          You and <strong>{name}</strong>
        </span>
        {!shown && (
          <button type="button" className="text-button" aria-label={`Show the number of you and ${name}`} onClick={() => setShown(true)}>
            Show
          </button>
        )}
        {digits && digits === compared && <em>Compared</em>}
        {digits && digits !== compared && (
          <button type="button" className="text-button" aria-label={`${name} sees the same`} onClick={() => secrecy.compared(threadId, userId, digits)}>
            It is the same
          </button>
        )}
      </p>
      {digits && (
        <ol aria-label={`Safety number of you and ${name}`}>
          {digits.split(' ').map((group, i) => (
            <li key={i}>{group}</li>
          ))}
        </ol>
      )}
      {digits && compared && digits !== compared && <p className="safety-changed">It is another than the one you compared.</p>}
      {number && !digits && <p className="facts">{name} has no device with encryption here yet.</p>}
    </div>
  )
}
