import { useEffect, useState } from 'react'
import type { ThreadSnapshot } from '../src/index.js'
import { useSnapshot } from '../src/react.js'
import { nameOf } from './format.js'
import type { Session } from './session.js'
import { Avatar, Dialog } from './ui.js'

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
            <SafetyNumber key={p.user_id} session={session} threadId={thread.id} userId={p.user_id} />
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
        <li>A device reads what is sent after it was let in. If its browser data is deleted, its texts are lost.</li>
        <li>Neither this code nor the library beneath was audited.</li>
      </ul>
    </Dialog>
  )
}

/** Sixty digits in groups of five. They change when a device comes or goes. */
function SafetyNumber({ session, threadId, userId }: { session: Session; threadId: string; userId: string }) {
  const { standings } = useSnapshot(session.secrecy.view)
  const [digits, setDigits] = useState<string>()
  const [known, setKnown] = useState(false)
  const standing = standings.get(threadId)
  useEffect(() => {
    let current = true
    void session.secrecy.safetyNumber(threadId, userId).catch(() => undefined).then((number) => {
      if (!current) return
      setDigits(number)
      setKnown(true)
    })
    return () => {
      current = false
    }
  }, [session, threadId, userId, standing])
  return (
    <div className="safety">
      <p>
        <Avatar name={userId} size={28} />
        <span>
          You and <strong>{nameOf(userId)}</strong>
        </span>
      </p>
      {digits ? (
        <ol aria-label={`Safety number of you and ${nameOf(userId)}`}>
          {digits.split(' ').map((group, i) => (
            <li key={i}>{group}</li>
          ))}
        </ol>
      ) : (
        known && <p className="facts">{nameOf(userId)} has no device with encryption here yet.</p>
      )}
    </div>
  )
}
