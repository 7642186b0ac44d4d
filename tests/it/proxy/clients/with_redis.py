# What an application does with redis-py, against the port and with the protocol of the arguments.
# It runs with versions from 4.3 on.
import sys
import threading

import redis

port, protocol = int(sys.argv[1]), int(sys.argv[2])
options = {"port": port, "decode_responses": True, "socket_timeout": 20}
if tuple(map(int, redis.__version__.split(".")[:1])) >= (5,):
    options["protocol"] = protocol
elif protocol == 3:
    sys.exit(0)
client = redis.Redis(client_name="application", **options)

assert client.ping()
assert client.client_getname() == "application"
names = [f"key:{number * 7919}" for number in range(200)]
assert client.mset({name: f"value of {name}" for name in names})
assert client.mget(names + ["none"]) == [f"value of {name}" for name in names] + [None]
assert client.exists(*names) == 200
assert sorted(client.scan_iter(match="key:*", count=17)) == sorted(names)
assert client.delete(*names[:50]) == 50
assert client.touch(*names) == 150
assert client.dbsize() == 150
assert client.echo("hello") == "hello"

assert client.hset("hash", mapping={"f": 1, "g": 2}) == 2
assert client.hgetall("hash") == {"f": "1", "g": "2"}
assert client.sadd("set", "a", "b") == 2
assert client.smembers("set") == {"a", "b"}
assert client.zadd("sorted", {"a": 1.5, "b": 2}) == 2
withscores = client.zrange("sorted", 0, -1, withscores=True)
assert [tuple(pair) for pair in withscores] == [("a", 1.5), ("b", 2.0)]
assert client.rpush("list", 1, 2, 3) == 3
assert client.blpop(["list"], timeout=1) in (("list", "1"), ["list", "1"])
assert client.blpop(["{t}none"], timeout=1) is None
assert client.xadd("stream", {"f": "v"})
assert client.xlen("stream") == 1

# Without a transaction, on all nodes.
pipeline = client.pipeline(transaction=False)
for name in names[50:]:
    pipeline.get(name)
    pipeline.incr("counter:" + name)
replies = pipeline.execute()
assert replies[::2] == [f"value of {name}" for name in names[50:]]
assert replies[1::2] == [1] * 150

# With one, on one node.
with client.pipeline() as transaction:
    transaction.watch("{t}balance")
    balance = int(transaction.get("{t}balance") or 0)
    transaction.multi()
    transaction.set("{t}balance", balance + 10)
    transaction.get("{t}balance")
    assert transaction.execute() == [True, str(balance + 10)]

script = client.register_script("return {KEYS[1], ARGV[1]}")
for name in names[:20]:
    assert script(keys=[name], args=["argument"]) == [name, "argument"]
assert client.eval("return 7", 0) == 7

subscriber = client.pubsub()
subscriber.subscribe("channel")
subscriber.psubscribe("pattern.*")
messages = []
while len(messages) < 2:
    message = subscriber.get_message(timeout=20)
    assert message, "no confirmation"
    messages.append(message["type"])
assert sorted(messages) == ["psubscribe", "subscribe"]
assert client.publish("channel", "text") == 1
assert subscriber.get_message(timeout=20)["data"] == "text"
assert client.publish("pattern.x", "more") == 1
assert subscriber.get_message(timeout=20)["channel"] == "pattern.x"
subscriber.close()

for wrong in [lambda: client.execute_command("NOSUCH", "x"), lambda: client.incr("hash")]:
    try:
        wrong()
        raise SystemExit("no error")
    except redis.ResponseError:
        pass
assert client.ping()

failures = []


def work(number):
    try:
        for round in range(100):
            name = f"thread:{number}:{round}"
            client.set(name, name)
            assert client.get(name) == name
    except BaseException as error:
        failures.append(error)


threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
client.close()
