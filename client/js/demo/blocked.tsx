import { useEffect } from 'react'
import type { Block } from '../src/index.js'
import { Changing } from '../src/emitter.js'
import { useSnapshot } from '../src/react.js'
import { fullTimeOf, nameOf } from './format.js'
import type { Session } from './session.js'
import { Avatar, Dialog } from './ui.js'

/** Whom a person blocks. No frame tells of it: it is read at each connection, and when it is looked at. */
class Blocked {
  readonly view = new Changing<readonly Block[]>(() => this.#blocks)
  #blocks: readonly Block[] = []

  constructor(private session: Session) {
    session.client.events.on('caught_up', () => void this.load().catch(() => {}))
    if (session.client.getSnapshot().state === 'online') void this.load().catch(() => {})
  }

  async load(): Promise<void> {
    this.#blocks = await this.session.client.blocks()
    this.view.changed()
  }

  block = (user: string): Promise<void> => this.#change(this.session.client.block(user), `${nameOf(user)} is blocked`)
  unblock = (user: string): Promise<void> => this.#change(this.session.client.unblock(user), `${nameOf(user)} is not blocked any more`)

  #change(done: Promise<unknown>, told: string): Promise<void> {
    return this.session.try(done.then(() => this.load()).then(() => this.session.toast(told)))
  }
}

const known = new WeakMap<Session, Blocked>()

export function blockedOf(session: Session): Blocked {
  let blocked = known.get(session)
  if (!blocked) known.set(session, (blocked = new Blocked(session)))
  return blocked
}

export const useBlocks = (session: Session): readonly Block[] => useSnapshot(blockedOf(session).view)

export function BlockedPeople({ session, onClose }: { session: Session; onClose: () => void }) {
  const blocked = blockedOf(session)
  const blocks = useBlocks(session)
  useEffect(() => void session.try(blocked.load()), [session, blocked])
  return (
    <Dialog title="Blocked people" onClose={onClose}>
      <p className="facts">
        What they write to you does not reach you, and they see neither when you are online nor that you write. In groups that you share, messages arrive as before.
      </p>
      {blocks.length === 0 && <p className="nothing">You block nobody.</p>}
      <ul className="people">
        {blocks.map(({ user_id, blocked_at }) => (
          <li key={user_id} className="receipt">
            <Avatar name={user_id} size={36} />
            <div>
              <span>{nameOf(user_id)}</span>
              <small>Since {fullTimeOf(blocked_at)}</small>
            </div>
            <button type="button" className="secondary small" aria-label={`Unblock ${nameOf(user_id)}`} onClick={() => void blocked.unblock(user_id)}>
              Unblock
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}
