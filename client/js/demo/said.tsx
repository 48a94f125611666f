import type { StoredMessage } from '../src/index.js'
import { gone, previewOf } from './format.js'
import { Icon } from './icons.js'
import type { Session } from './session.js'

/** Marks a message that came as plain text into an encrypted conversation; in a line of little room by the icon alone. */
export function Exposed({ session, message, short = false }: { session: Session; message: StoredMessage; short?: boolean }) {
  if (gone(message) || !session.secrecy.isExposed(message)) return null
  return (
    <span className="exposed" title="Not encrypted: the server can read this message" {...(short ? { role: 'img', 'aria-label': 'not encrypted' } : {})}>
      <Icon name="unlock" size={12} />
      {!short && 'not encrypted'}
    </span>
  )
}

/** What a message says, in a line. */
export function Said({ session, message }: { session: Session; message: StoredMessage }) {
  return (
    <>
      <Exposed session={session} message={message} short />
      {previewOf(message, session)}
    </>
  )
}
