// What a page does with the server from another origin: fetch, a plain WebSocket and MQTT.js.
// It reports what it saw to where it came from. The script before it sets `parley`.
'use strict'

const { api, realtime, token, expired, group } = parley
const seen = {}

function call (method, path, body, headers = {}) {
  return fetch(api + path, {
    method,
    body: body && JSON.stringify(body),
    headers: { Authorization: 'Bearer ' + token, ...(body && { 'Content-Type': 'application/json' }), ...headers }
  })
}

// attempt reports what a step saw, or the name of its error.
async function attempt (name, step) {
  try {
    seen[name] = await step()
  } catch (error) {
    seen[name] = { error: error.name ?? String(error) }
  }
}

async function answer (promise, ...headers) {
  const response = await promise
  const text = await response.text()
  const body = text && JSON.parse(text)
  return { status: response.status, code: body.code, id: body.id, headers: headers.map(name => response.headers.get(name)) }
}

function plainWebSocket () {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(realtime + '?device_id=page-ws', ['parley.v1', 'bearer.' + token])
    socket.onerror = () => reject(new Error('refused'))
    socket.onmessage = message => {
      const frame = JSON.parse(message.data)
      if (frame.t === 'caught_up') {
        call('POST', `/v1/threads/${group}/messages`, { client_seq: 90, ciphertext: 'd3M=' }, { 'Idempotency-Key': 'ws', 'X-Device-Id': 'page' })
      }
      if (frame.t === 'msg' && frame.ciphertext === 'd3M=') {
        resolve({ protocol: socket.protocol })
        socket.close()
      }
    }
  })
}

function mqttOverWebSocket () {
  return new Promise((resolve, reject) => {
    const client = mqtt.connect(realtime, { protocolVersion: 5, clientId: 'page-mqtt', username: '', password: token, reconnectPeriod: 0 })
    const fail = () => reject(new Error('refused'))
    client.on('error', fail)
    client.on('close', fail) // after resolve it means nothing
    client.on('connect', () => {
      client.subscribe('v1/threads/+/frames', { qos: 1 }, () => {
        client.publish(`v1/threads/${group}/messages`, JSON.stringify({ client_seq: 91, ciphertext: 'bXF0dA==', idempotency_key: 'mqtt' }), { qos: 1 })
        call('POST', `/v1/threads/${group}/messages`, { client_seq: 92, ciphertext: 'cmVzdA==' }, { 'Idempotency-Key': 'rest', 'X-Device-Id': 'page' })
      })
    })
    client.on('message', (topic, payload) => {
      if (JSON.parse(payload).ciphertext === 'cmVzdA==') {
        resolve({ topic })
        client.end()
      }
    })
  })
}

async function run () {
  const send = (key, text) => call('POST', `/v1/threads/${group}/messages`, { client_seq: 1, ciphertext: text },
    { 'Idempotency-Key': key, 'X-Device-Id': 'page', 'X-Request-Id': 'from-a-page' })
  await attempt('list', () => answer(call('GET', '/v1/threads?device_id=page'), 'X-Request-Id', 'RateLimit', 'RateLimit-Policy'))
  await attempt('create', () => answer(call('POST', '/v1/threads', { type: 'GROUP', participants: [] }), 'Location'))
  await attempt('send', () => answer(send('a', 'AAAA'), 'X-Request-Id'))
  await attempt('replay', () => answer(send('a', 'AAAA'), 'Idempotency-Replayed'))
  await attempt('differs', () => answer(send('b', 'BBBB'), 'Idempotency-Content-Differs'))
  await attempt('patch', () => answer(call('PATCH', `/v1/threads/${group}`, { title: 'tea' })))
  await attempt('put', () => answer(call('PUT', '/v1/users/me/blocks/mallory')))
  await attempt('delete', () => answer(call('DELETE', '/v1/users/me/blocks/mallory')))
  await attempt('refused', () => answer(call('GET', '/v1/threads?colour=red')))
  await attempt('expired', () => answer(fetch(api + '/v1/threads', { headers: { Authorization: 'Bearer ' + expired } })))
  await attempt('not found', () => answer(call('GET', '/v1/nothing')))
  await attempt('websocket', plainWebSocket)
  await attempt('mqtt', mqttOverWebSocket)
  await fetch('/seen', { method: 'POST', body: JSON.stringify(seen) })
}

run()
