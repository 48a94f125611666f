import { useCallback, useEffect, useState } from 'react'
import type { Device } from '../src/index.js'
import { agoOf, dateOf } from './format.js'
import { Icon } from './icons.js'
import type { Session } from './session.js'
import { Dialog } from './ui.js'

const AGAIN_MS = 10_000

/** The devices of a person. A frame tells of those with keys; the list is read again for the others. */
export function Devices({ session, onClose }: { session: Session; onClose: () => void }) {
  const { client } = session
  const [devices, setDevices] = useState<readonly Device[]>()
  const [asked, setAsked] = useState<string>()
  const load = useCallback(() => session.try(client.devices().then(setDevices)), [client, session])
  useEffect(() => {
    void load()
    const timer = setInterval(() => void client.devices().then(setDevices, () => {}), AGAIN_MS)
    const off = client.events.on('frame', (frame) => frame.t === 'devices' && frame.user_id === session.person && void load())
    return () => {
      clearInterval(timer)
      off()
    }
  }, [client, session, load])
  const remove = async (id: string) => {
    setAsked(undefined)
    await session.try(client.removeDevice(id))
    await load()
  }
  const own = (d: Device) => d.device_id === client.deviceId
  const listed = devices?.toSorted((a, b) => Number(own(b)) - Number(own(a)) || (a.last_seen_at < b.last_seen_at ? 1 : -1))
  return (
    <Dialog title="Your devices" onClose={onClose}>
      {!listed && <p className="nothing">Reading the list…</p>}
      <ul className="people">
        {listed?.map((d) => (
          <li key={d.device_id} className="device">
            <span className={`device-mark ${d.connected ? 'connected' : ''}`}>
              <Icon name="device" />
            </span>
            <div>
              <span className="device-name">
                {d.device_id}
                {own(d) && <em>This device</em>}
              </span>
              <small>{d.connected ? 'Connected' : capital(agoOf(d.last_seen_at))}</small>
              <small>
                Since {dateOf(d.first_seen_at)}
                {d.identity_key !== undefined && `, with ${d.one_time_prekeys ?? 0} one-time keys`}
              </small>
            </div>
            {!own(d) && asked !== d.device_id && (
              <button type="button" className="secondary small" aria-label={`Remove ${d.device_id}`} onClick={() => setAsked(d.device_id)}>
                Remove
              </button>
            )}
            {asked === d.device_id && (
              <div className="ask" role="group" aria-label={`Remove ${d.device_id}?`}>
                <p>It is disconnected, and its keys are forgotten.</p>
                <button type="button" className="secondary small" onClick={() => setAsked(undefined)}>
                  Keep
                </button>
                <button type="button" className="danger small" autoFocus onClick={() => void remove(d.device_id)}>
                  Remove it
                </button>
              </div>
            )}
          </li>
        ))}
      </ul>
      {listed?.length === 1 && <p className="facts">Another browser, or another program with a token of yours, is shown here as soon as it connects.</p>}
    </Dialog>
  )
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
