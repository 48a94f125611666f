"""A phone: MQTT 5, with what it has and what it still has to send in SQLite.

    phone.py HOST PORT USER TOKEN DEVICE DATABASE THREAD

Lines of standard input are sent to the thread; at its end it goes on receiving. Needs paho-mqtt.
"""
import base64, json, sqlite3, sys, threading, time, uuid
import paho.mqtt.client as mqtt

host, port, user, token, device, path, thread = sys.argv[1:]
db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
db.executescript("""
    CREATE TABLE IF NOT EXISTS events (thread TEXT, seq INTEGER, frame TEXT, PRIMARY KEY (thread, seq));
    CREATE TABLE IF NOT EXISTS outbox (client_seq INTEGER PRIMARY KEY, key TEXT, thread TEXT, ciphertext TEXT);""")
db_lock = threading.Lock()
online = threading.Event()
written = threading.Semaphore(0)


def sql(statement, *values):
    with db_lock:
        return db.execute(statement, values)


def send():
    """Sends the outbox, one after the other, each with the same key at every try."""
    while True:
        row = sql("SELECT client_seq, key, thread, ciphertext FROM outbox ORDER BY client_seq").fetchone()
        if row is None:
            written.acquire()
            continue
        online.wait()
        client_seq, key, to, ciphertext = row
        body = {"client_seq": client_seq, "idempotency_key": key, "ciphertext": ciphertext}
        try:
            client.publish(f"v1/threads/{to}/messages", json.dumps(body), qos=1).wait_for_publish()
        except RuntimeError:  # the connection went meanwhile
            time.sleep(1)
            continue
        # PUBACK: it is on the server's disk. (A refusal has a reason code; 3.1.1 gets an `error` frame.)
        sql("DELETE FROM outbox WHERE client_seq = ?", client_seq)


def on_connect(client, userdata, flags, reason, properties=None):
    if int(getattr(reason, "value", reason)) >= 0x80:
        print("refused:", reason, flush=True)
        return
    client.subscribe("v1/#", qos=1)
    online.set()


def on_message(client, userdata, message):
    frame = json.loads(message.payload)
    if "seq" in frame:  # an event: kept once, before the PUBACK, which the library sends when this returns
        new = sql("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", frame["thread_id"], frame["seq"], message.payload).rowcount
        if new and frame["t"] == "msg":
            print(f'{frame["sender_id"]}: {base64.b64decode(frame["ciphertext"]).decode()}', flush=True)
    elif frame["t"] in ("caught_up", "error"):
        print("·", frame["t"], frame.get("detail", ""), flush=True)


newer = (mqtt.CallbackAPIVersion.VERSION2,) if hasattr(mqtt, "CallbackAPIVersion") else ()
client = mqtt.Client(*newer, client_id=device, protocol=mqtt.MQTTv5)
client.username_pw_set(user, token)
client.on_connect, client.on_message = on_connect, on_message
client.on_disconnect = lambda *_: online.clear()
client.reconnect_delay_set(1, 60)
client.connect(host, int(port), keepalive=50)
client.loop_start()
threading.Thread(target=send, daemon=True).start()
for line in sys.stdin:  # written before it is tried: it survives the phone's battery
    ciphertext = base64.b64encode(line.rstrip("\n").encode()).decode()
    sql("INSERT INTO outbox VALUES (?, ?, ?, ?)", time.time_ns() // 1000, str(uuid.uuid4()), thread, ciphertext)
    written.release()
threading.Event().wait()
