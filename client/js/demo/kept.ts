// What this browser keeps of a person beside the log and the outbox. Its names have slashes, which no
// id has: no name of one person is the beginning of another's.

/** The name of something that is kept of a person. */
export const kept = (user: string, ...what: string[]): string => ['parley', user, ...what].join('/')

/** Which device this browser is for a person. */
export const deviceKey = (user: string): string => `parley.device.${user}`
export const protocolKey = (user: string): string => `parley.protocol.${user}`

/** The database of a person's log and outbox. */
export const logName = (user: string): string => `parley-${user}`

/** Forgets all that is kept of a person, on every device that this browser was for it. */
export async function forgetKept(user: string): Promise<void> {
  for (const storage of [localStorage, sessionStorage]) {
    for (const key of Object.keys(storage)) if (key.startsWith(kept(user, ''))) storage.removeItem(key)
  }
  for (const key of [deviceKey(user), protocolKey(user)]) localStorage.removeItem(key)
  const names = (await indexedDB.databases()).map(({ name }) => name!)
  await Promise.all(names.filter((name) => name === logName(user) || name.startsWith(kept(user, ''))).map(drop))
}

/** A database goes when nobody has it open. A tab that does not answer holds up nobody: it is gone with that tab. */
const TABS_MS = 3000

const drop = (name: string): Promise<void> =>
  new Promise((done) => {
    const request = indexedDB.deleteDatabase(name)
    request.onsuccess = request.onerror = () => done()
    request.onblocked = () => setTimeout(done, TABS_MS)
  })
