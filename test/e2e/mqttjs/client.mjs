// MQTT.js as its makers mean it to be used, told what to do and telling what
// happens in lines of JSON: commands on stdin, events on stdout.
//
//	node client.mjs URL '{MQTT.js options}'
//
// It reconnects and subscribes again by itself. The end of stdin ends it.
import mqtt from 'mqtt';
import { createInterface } from 'node:readline';

const [url, options] = process.argv.slice(2);
const tell = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
const client = mqtt.connect(url, JSON.parse(options));

client.on('connect', (connack) => tell('connect', { present: connack.sessionPresent }));
client.on('close', () => tell('close'));
client.on('error', (error) => tell('error', { detail: String(error), code: error.code ?? 0 }));
client.on('message', (topic, payload, { qos, properties }) => tell('message', {
  topic,
  qos,
  payload: payload.toString('utf8'),
  content_type: properties?.contentType ?? '',
  correlation: properties?.correlationData?.toString('utf8') ?? '',
}));

const commands = {
  subscribe({ filters, qos }) {
    client.subscribe(filters, { qos }, (error, granted) => tell('subscribed', {
      detail: error ? String(error) : '',
      codes: (granted ?? []).map((g) => g.qos),
    }));
  },
  publish({ topic, payload, response, correlation }) {
    const properties = response ? { responseTopic: response, correlationData: Buffer.from(correlation) } : undefined;
    // The callback is called with the PUBACK.
    client.publish(topic, payload, { qos: 1, properties }, (error, packet) => tell('published', {
      detail: error ? String(error) : '',
      code: error?.code ?? packet?.reasonCode ?? 0,
    }));
  },
};

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
lines.on('close', () => client.end(false, {}, () => process.exit(0)));
