import { nameOf } from './format.js'
import { Icon } from './icons.js'
import type { Secret } from './secrecy.js'
import type { Session } from './session.js'

const list = new Intl.ListFormat('en', { type: 'conjunction' })
const named = (users: readonly string[]): string => list.format(users.map(nameOf))
const have = (users: readonly string[]): string => (users.length === 1 ? 'has' : 'have')

/** Above the composer: what keeps a message from being encrypted, or from being read, and what can be done. */
export function SecrecyNotice({ session, threadId, secret, others, onVerify }: { session: Session; threadId: string; secret: Secret; others: number; onVerify: () => void }) {
  const { secrecy } = session
  const { readiness, why } = secrecy.view.getSnapshot()
  const { mode, without, changed, mayBePlain } = secret
  const waiting = secrecy.waiting.of(threadId).length > 0
  const plainly = { label: `${waiting ? 'Send' : 'Write'} without encryption`, does: () => secrecy.choosePlain(threadId) }
  const begin = { label: 'Encrypt from now on', does: () => void session.try(secrecy.begin(threadId)) }
  switch (mode) {
    case 'plain':
      return (
        <Line icon="unlock" text="Not encrypted: the server can read what is written here." action={readiness === 'open' && mayBePlain && without.length < others ? begin : waiting ? plainly : undefined} />
      )
    case 'nobody':
      return mayBePlain ? (
        <Line
          icon="lock"
          text={`${named(without)} ${have(without)} no device with encryption yet. What you write waits until ${named(without)} ${without.length === 1 ? 'opens' : 'open'} this page; or you write so that the server can read it.`}
          action={plainly}
        />
      ) : (
        <Line icon="lock" text={`${named(without)} ${have(without)} no device with encryption, so nobody could read what you write.`} />
      )
    case 'outside':
      return <Line icon="lock" text="This device is new here, or has lost its keys. Another device of this conversation lets it in when it is online; what was sent before stays unreadable." />
    case 'unavailable':
      return readiness === 'elsewhere' ? (
        <Line icon="lock" text="The keys of this conversation are in use in another tab." action={{ label: 'Use them here', does: () => secrecy.open() }} />
      ) : (
        <Line icon="unlock" text={`Encryption does not work here: ${why}.`} action={mayBePlain ? plainly : undefined} />
      )
    case 'encrypted':
    case 'new':
      if (changed.length > 0) {
        return (
          <Line
            icon="unlock"
            text={`The safety number with ${named(changed)} is another than the one you compared: a device has come or gone, or somebody stands between.`}
            action={{ label: 'Compare again', does: onVerify }}
          />
        )
      }
      return without.length > 0 ? <Line icon="lock" text={`${named(without)} ${have(without)} no device with encryption yet, and cannot read what is sent now.`} /> : null
    default:
      return null
  }
}

function Line({ icon, text, action }: { icon: 'lock' | 'unlock'; text: string; action?: { label: string; does: () => void } }) {
  return (
    <div className={`secrecy-line ${icon}`} role="status">
      <Icon name={icon} size={16} />
      <p>{text}</p>
      {action && (
        <button type="button" className="text-button" onClick={action.does}>
          {action.label}
        </button>
      )}
    </div>
  )
}
