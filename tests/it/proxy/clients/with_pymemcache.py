# What an application does with pymemcache, against the port of the arguments. It runs with versions
# from 3.5 on.
import sys

from pymemcache.client.base import PooledClient
from pymemcache.exceptions import MemcacheError

client = PooledClient(("127.0.0.1", int(sys.argv[1])), timeout=20, connect_timeout=20)

names = [f"key:{number * 7919}" for number in range(200)]
assert client.set("a", b"1", noreply=False)
assert client.get("a") == b"1"
assert client.get("none") is None
assert client.add("a", b"2", noreply=False) is False
assert client.replace("a", b"2", noreply=False)
assert client.append("a", b"3", noreply=False)
assert client.prepend("a", b"1", noreply=False)
assert client.get("a") == b"123"
assert client.incr("a", 7) == 130
assert client.decr("a", 30) == 100
assert client.set_many({name: name.encode() for name in names}, noreply=False) == []
assert client.get_many(names + ["none"]) == {name: name.encode() for name in names}
value, token = client.gets("a")
assert client.cas("a", b"x", token, noreply=False)
assert client.cas("a", b"y", token, noreply=False) is False
assert set(client.gets_many(["a"] + names[:3])) == {"a", *names[:3]}
assert client.touch("a", 100, noreply=False)
assert client.delete("a", noreply=False)
assert client.delete("a", noreply=False) is False

# Without replies: what is asked behind them is answered, so they were done.
for name in names:
    client.set(name, b"quiet", noreply=True)
    client.delete(name + "x", noreply=True)
assert set(client.get_many(names).values()) == {b"quiet"}

big = b"x" * 1000000
assert client.set("big", big, noreply=False)
assert client.get("big") == big
assert client.version()
assert client.stats()
try:
    client.set("k" * 251, b"v", noreply=False)
    raise SystemExit("no error")
except MemcacheError:
    pass
assert client.flush_all(noreply=False)
assert client.get_many(names) == {}
client.close()
