import { useState } from 'react'
import type { Session } from './session.js'
import { Dialog } from './ui.js'

/** Says what another encryption is before it begins. */
export function BeginAnew({ session, threadId, onClose }: { session: Session; threadId: string; onClose: () => void }) {
  const [beginning, setBeginning] = useState(false)
  const begin = async () => {
    setBeginning(true)
    await session.try(session.secrecy.beginAnew(threadId))
    onClose()
  }
  return (
    <Dialog title="Begin a new encryption" onClose={onClose}>
      <p>Nobody has let this device in. If another device of this conversation still has its keys, better wait until it is online: it lets this one in by itself.</p>
      <ul className="knowledge">
        <li>Everybody here moves to a new encryption, with each device that has keys now. Nobody has to agree.</li>
        <li>What was written before stays unreadable on this device, until somebody who can read it sends it again.</li>
        <li>Safety numbers are others than before. Compare them.</li>
      </ul>
      <div className="dialog-actions">
        <button type="button" className="secondary" onClick={onClose}>
          Wait
        </button>
        <button type="button" className="primary" disabled={beginning} onClick={() => void begin()}>
          {beginning ? 'Beginning…' : 'Begin'}
        </button>
      </div>
    </Dialog>
  )
}
