import { useEffect, useState } from 'react'
import type { Device } from '../src/mls/index.js'
import { BeginAnew } from './anew.js'
import { nameOf } from './format.js'
import { Icon } from './icons.js'
import type { Asking } from './resending.js'
import type { Secret } from './secrecy.js'
import type { Session } from './session.js'
import { IconButton } from './ui.js'

const list = new Intl.ListFormat('en', { type: 'conjunction' })
const named = (users: readonly string[]): string => list.format(users.map(nameOf))
const have = (users: readonly string[]): string => (users.length === 1 ? 'has' : 'have')

interface Props {
  session: Session
  threadId: string
  secret: Secret
  others: number
  onVerify: () => void
}

/** Above the composer: what others ask for, and what keeps a message from being encrypted, or from being read. */
export function SecrecyNotice(props: Props) {
  const { session, threadId, secret } = props
  const [asking] = secret.mode === 'encrypted' ? session.secrecy.resending.of(threadId).asking : []
  return (
    <>
      {asking && <AskLine {...props} asking={asking} />}
      <State {...props} />
    </>
  )
}

/** A device asks for texts: its person decides, and better knows whose device it is. */
function AskLine({ session, threadId, asking, onVerify }: Props & { asking: Asking }) {
  const { secrecy, person } = session
  const [answering, setAnswering] = useState(false)
  const { device, messages } = asking
  const own = device.userId === person
  const answer = (give: boolean) => {
    setAnswering(true)
    void session.try(secrecy.answer(threadId, asking, give)).then(() => setAnswering(false))
  }
  const whose = own ? 'Your' : `${nameOf(device.userId)}’s`
  const what = `${messages} ${messages === 1 ? 'message' : 'messages'}`
  return (
    <div className="secrecy-line ask-line" role="status">
      <Icon name="key" size={16} />
      <p>
        <strong>
          {whose} device {device.deviceId} cannot read {own ? `${what} here` : `${messages} of your messages`}.
        </strong>{' '}
        Send {messages === 1 ? 'it' : 'them'} again?{' '}
        <span>
          {own ? 'Make sure that it is your device' : `Make sure that it is ${nameOf(device.userId)}’s`}: <button type="button" className="text-button" onClick={onVerify}>compare your safety numbers</button> first.
        </span>
      </p>
      <div>
        <button type="button" className="secondary small" disabled={answering} onClick={() => answer(false)}>
          Not now
        </button>
        <button type="button" className="primary small" disabled={answering} onClick={() => answer(true)}>
          Send again
        </button>
      </div>
    </div>
  )
}

/** So long nobody has let this device in before another encryption is offered. */
const OUTSIDE_MS = 8000

function Outside({ session, threadId }: Props) {
  const [long, setLong] = useState(false)
  const [asked, setAsked] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), OUTSIDE_MS)
    return () => clearTimeout(timer)
  }, [])
  return (
    <>
      <Line
        icon="lock"
        text="This device is new here, or has lost its keys. Another device of this conversation lets it in when it is online; what was sent before stays unreadable until somebody sends it again."
        action={long ? { label: 'Begin a new encryption', does: () => setAsked(true) } : undefined}
      />
      {asked && <BeginAnew session={session} threadId={threadId} onClose={() => setAsked(false)} />}
    </>
  )
}

function State(props: Props) {
  const { session, threadId, secret, others, onVerify } = props
  const { secrecy } = session
  const { readiness, why } = secrecy.view.getSnapshot()
  const { mode, without, changed, added, mayBePlain } = secret
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
      return <Outside {...props} />
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
      if (added.length > 0) {
        const [{ userId }] = added as [Device]
        const devices = added.filter((device) => device.userId === userId).map(({ deviceId }) => deviceId)
        const own = userId === session.person
        const news = `${own ? 'You have' : `${nameOf(userId)} has`} ${devices.length === 1 ? 'a new device' : 'new devices'}: ${list.format(devices)}.`
        return (
          <Line
            icon="lock"
            text={`${news} ${own ? 'If it is not yours, remove it from your devices.' : 'Compare your safety numbers.'}`}
            action={own ? undefined : { label: 'Compare', does: onVerify }}
            onClose={() => secrecy.noted(threadId, userId)}
          />
        )
      }
      return without.length > 0 ? <Line icon="lock" text={`${named(without)} ${have(without)} no device with encryption yet, and cannot read what is sent now.`} /> : null
    default:
      return null
  }
}

interface LineProps {
  icon: 'lock' | 'unlock'
  text: string
  action?: { label: string; does: () => void } | undefined
  onClose?: () => void
}

function Line({ icon, text, action, onClose }: LineProps) {
  return (
    <div className={`secrecy-line ${icon}`} role="status">
      <Icon name={icon} size={16} />
      <p>{text}</p>
      {action && (
        <button type="button" className="text-button" onClick={action.does}>
          {action.label}
        </button>
      )}
      {onClose && <IconButton icon="close" label="Dismiss" size={14} onClick={onClose} />}
    </div>
  )
}
