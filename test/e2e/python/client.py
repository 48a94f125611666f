"""Publishes the lines of standard input as messages with QoS 1, all at once, and says as lines of
JSON what becomes of them. It ends when all have been answered.

    client.py HOST PORT VERSION USER TOKEN DEVICE TOPIC
"""
import json
import sys
import threading

import paho.mqtt.client as mqtt

host, port, version, user, token, device, topic = sys.argv[1:]
payloads = sys.stdin.read().splitlines()
answered = 0
done = threading.Event()


def tell(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def on_connect(client, userdata, flags, rc, properties=None):
    tell("connect")
    client.subscribe("v1/devices/%s/frames" % device)


def on_publish(client, userdata, mid):
    global answered
    answered += 1
    if answered == len(payloads):
        done.set()


def on_message(client, userdata, message):
    tell("message", payload=message.payload.decode())


if version == "5":
    client = mqtt.Client(device, protocol=mqtt.MQTTv5)
else:
    client = mqtt.Client(device, protocol=mqtt.MQTTv311, clean_session=False)
client.username_pw_set(user, token)
client.on_connect, client.on_publish, client.on_message = on_connect, on_publish, on_message
client.connect(host, int(port))
for payload in payloads:
    client.publish(topic, payload, qos=1)
client.loop_start()
done.wait(120)
tell("published", code=answered)
client.disconnect()
client.loop_stop()
