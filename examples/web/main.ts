// A web client: /?user=alice&with=bob. It comes back after a reload with what it had, and sends what
// was written offline. The page's origin serves /token and passes /v1 on, see ../proxy.
import { Client, decodeText } from '@parleyhq/client'
import { IndexedDBStorage } from '@parleyhq/client/indexeddb'

const query = new URLSearchParams(location.search)
const user = query.get('user') ?? 'alice'
const other = query.get('with') ?? 'bob'
const element = (id: string) => document.getElementById(id)!

localStorage.device ??= 'web-' + crypto.randomUUID().slice(0, 8) // one for each installation, kept for good
const client = new Client({
  url: location.origin,
  userId: user,
  deviceId: localStorage.device,
  token: async () => {
    const answer = await fetch('/token', { method: 'POST' })
    if (!answer.ok) throw new Error('not logged in')
    return answer.text()
  },
  storage: new IndexedDBStorage(`parley-${user}`),
})
client.subscribe(() => (element('state').textContent = client.getSnapshot().state))
await client.connect()
const thread = await client.createThread('1_TO_1', [other])
const log = client.thread(thread)

function show() {
  const { messages, outgoing } = log.view.getSnapshot()
  const lines = messages.map((m) => `${m.sender_id}: ${m.deleted ? '(deleted)' : decodeText(m.ciphertext)}`)
  const waiting = outgoing.map((o) => `${user}: ${decodeText(o.body.ciphertext)} (${o.problem ? 'not sent' : 'sending'})`)
  element('messages').replaceChildren(...[...lines, ...waiting].map((line) => Object.assign(document.createElement('li'), { textContent: line })))
  const newest = messages.at(-1)
  if (newest && newest.sender_id !== user) void client.read(thread, newest.id)
}
log.view.subscribe(show)
show()

element('with').textContent = other
element('form').addEventListener('submit', (event) => {
  event.preventDefault()
  const input = element('text') as HTMLInputElement
  if (input.value) void client.sendText(thread, input.value)
  input.value = ''
})
element('send').removeAttribute('disabled') // before, the page would have sent the form itself
