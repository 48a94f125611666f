// One end of a call: the peers find each other by signals through Parley alone, and then talk
// over a data channel. parley is the config that the test has put into the page.
'use strict'

const socket = new WebSocket(parley.realtime, ['parley.v1', 'bearer.' + parley.token])
const peer = new RTCPeerConnection()
const early = [] // candidates that came before the description that they belong to
let greeting

function signal(name, value) {
  socket.send(JSON.stringify({ t: 'signal', thread_id: parley.group, name, data: btoa(JSON.stringify(value)) }))
}

function report(step) {
  fetch('/seen', { method: 'POST', body: JSON.stringify({ call: step }) })
}

async function describe(description) {
  await peer.setRemoteDescription(description)
  for (const candidate of early.splice(0)) await peer.addIceCandidate(candidate)
}

// talk says hello on the channel and reports what it hears.
function talk(channel) {
  channel.onopen = () => channel.send('hello from ' + parley.me)
  channel.onmessage = (event) => report({ Topic: event.data })
}

const on = {
  async ready() {
    if (greeting || parley.me !== 'caller') return
    greeting = true
    talk(peer.createDataChannel('talk'))
    await peer.setLocalDescription(await peer.createOffer())
    signal('rtc.offer', peer.localDescription)
  },
  async offer(description) {
    clearInterval(greeting)
    await describe(description)
    await peer.setLocalDescription(await peer.createAnswer())
    signal('rtc.answer', peer.localDescription)
  },
  answer: describe,
  async candidate(candidate) {
    if (peer.remoteDescription) await peer.addIceCandidate(candidate)
    else early.push(candidate)
  },
}

peer.onicecandidate = (event) => event.candidate && signal('rtc.candidate', event.candidate)
peer.ondatachannel = (event) => talk(event.channel)
peer.onconnectionstatechange = () => peer.connectionState === 'failed' && report({ Error: 'the connection failed' })
socket.onclose = (event) => report({ Error: 'the socket closed with ' + event.code })
socket.onmessage = (event) => {
  const frame = JSON.parse(event.data)
  if (frame.t === 'caught_up' && parley.me !== 'caller') greeting = setInterval(() => signal('rtc.ready', null), 500)
  if (frame.t === 'ping') socket.send('{"t":"pong"}')
  if (frame.t !== 'signal') return
  on[frame.name.slice('rtc.'.length)](JSON.parse(atob(frame.data))).catch((error) => report({ Error: String(error) }))
}
