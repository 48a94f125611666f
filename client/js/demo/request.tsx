import type { ThreadSummary } from '../src/index.js'
import { blockedOf } from './blocked.js'
import { nameOf, otherOf, titleOf } from './format.js'
import type { Session } from './session.js'

/** Stands in place of the composer, where somebody new writes: whether to let them. */
export function RequestBar({ session, summary, onGone }: { session: Session; summary: ThreadSummary; onGone: () => void }) {
  const { client } = session
  const other = otherOf(summary, session.person)
  const archive = () => session.try(client.setMe(summary.id, { archived: true }).then(onGone))
  const block = async () => {
    await blockedOf(session).block(other!)
    await archive()
  }
  const leave = () => session.try(session.secrecy.remove(summary.id, session.person).then(onGone))
  return (
    <footer className="request" aria-label="Request">
      <p>
        <strong>{other ? `${nameOf(other)} wants to write to you.` : `You were added to “${titleOf(summary, session.person)}”.`}</strong>
        <span>Until you accept, nobody here sees that you have read this, that you write or when you are online.</span>
      </p>
      <div>
        {other ? (
          <button type="button" className="danger quiet" onClick={() => void block()}>
            Block
          </button>
        ) : (
          <button type="button" className="danger quiet" onClick={() => void leave()}>
            Leave
          </button>
        )}
        {!summary.thread.me.archived && (
          <button type="button" className="secondary" onClick={() => void archive()}>
            Archive
          </button>
        )}
        <button type="button" className="primary" onClick={() => void session.try(client.setMe(summary.id, { accepted: true, archived: false }))}>
          Accept
        </button>
      </div>
    </footer>
  )
}

/** Stands in place of the composer, where the other one is blocked. */
export function BlockedBar({ session, user }: { session: Session; user: string }) {
  return (
    <footer className="request blocked">
      <p>
        <strong>You have blocked {nameOf(user)}.</strong>
        <span>What {nameOf(user)} writes here does not reach you.</span>
      </p>
      <div>
        <button type="button" className="secondary" onClick={() => void blockedOf(session).unblock(user)}>
          Unblock
        </button>
      </div>
    </footer>
  )
}
