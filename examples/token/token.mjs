// A token endpoint: who is logged in to the app gets a token for the chat.
//   PARLEY_JWT_SECRET=… PORT=3000 node token.mjs
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'

const secret = process.env.PARLEY_JWT_SECRET
if (!secret) throw new Error('set PARLEY_JWT_SECRET to the --jwt-secret of the server')

// Yours: who is behind this request, by the app's own session.
const sessions = { 'session-of-alice': 'alice', 'session-of-bob': 'bob' }
const userOf = (request) => sessions[/(?:^|; )session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1]]

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

function mint(user) {
  const now = Math.floor(Date.now() / 1000)
  const claims = { sub: user, scope: 'chat.read chat.write', iat: now, exp: now + 15 * 60 }
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

createServer((request, response) => {
  // POST, and no CORS: only pages of the app's own origin can ask.
  const user = request.method === 'POST' && request.url === '/token' ? userOf(request) : undefined
  response.writeHead(user ? 200 : 401, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' })
  response.end(user ? mint(user) : '')
}).listen(Number(process.env.PORT ?? 3000), '127.0.0.1', function () {
  console.log(`listening on ${this.address().port}`)
})
