"""A backend job that posts system messages over REST, with the standard library alone.

    job.py URL TOKEN THREAD < messages        the token has the scope chat.system
"""
import base64, json, sys, time, urllib.error, urllib.request, uuid

api, token, thread = sys.argv[1:]


def send_message(thread_id, ciphertext_b64, client_seq):
    idem = str(uuid.uuid4())  # made once: every try has the same, so it is stored once
    body = json.dumps({"client_seq": client_seq, "ciphertext": ciphertext_b64, "content_type": "system"}).encode()
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": idem,
        "X-Device-Id": "job",
        "Content-Type": "application/json",
    }
    for attempt in range(10):
        wait = min(2**attempt, 30)
        try:
            request = urllib.request.Request(f"{api}/v1/threads/{thread_id}/messages", body, headers)
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as refusal:
            if refusal.code == 409 and refusal.headers.get_content_type() == "application/json":
                return json.load(refusal)  # sent before; this is that message
            if refusal.code not in (408, 429) and refusal.code < 500:
                sys.exit(f"refused: {refusal.read().decode()}")  # the same again will not do
            wait = max(wait, int(refusal.headers.get("Retry-After", 0)))
        except OSError as lost:  # no answer: it may be stored or not, and the same key asks
            print(lost, file=sys.stderr)
        time.sleep(wait)
    sys.exit("no answer")


for line in sys.stdin:
    message = send_message(thread, base64.b64encode(line.rstrip("\n").encode()).decode(), time.time_ns() // 1000)
    print(message["id"], flush=True)
