// What an application does with node-redis, against the port of the arguments. It runs with versions from 4.5 on.
const assert = require("assert");
const { createClient } = require("redis");

const port = Number(process.argv.at(-1));
const open = async () => {
    const client = createClient({ socket: { host: "127.0.0.1", port }, name: "application" });
    client.on("error", (error) => {
        throw error;
    });
    await client.connect();
    return client;
};

async function commands(client, names) {
    assert.equal(await client.ping(), "PONG");
    assert.equal(await client.clientGetName(), "application");
    assert.equal(await client.set("a", "1"), "OK");
    assert.equal(await client.get("a"), "1");
    assert.equal(await client.get("none"), null);
    assert.equal(await client.mSet(names.map((name) => [name, `value of ${name}`])), "OK");
    const values = names.map((name) => `value of ${name}`);
    assert.deepEqual(await client.mGet([...names, "none"]), [...values, null]);
    assert.equal(await client.exists(names), names.length);
    assert.equal(await client.del(names.slice(0, 50)), 50);
    assert.equal(await client.hSet("hash", { f: "1", g: "2" }), 2);
    assert.deepEqual({ ...(await client.hGetAll("hash")) }, { f: "1", g: "2" });
    assert.equal(await client.rPush("list", ["1", "2", "3"]), 3);
    assert.equal((await client.blPop("list", 1)).element, "1");
    const big = Buffer.alloc(1000000, 1);
    assert.equal(await client.set("big", big), "OK");
    assert.equal(await client.strLen("big"), big.length);
}

// What is asked in one turn goes out in one write: on all nodes.
async function pipeline(client, names) {
    const counts = await Promise.all(names.map((name) => client.incr(`counter:${name}`)));
    assert.deepEqual(counts, names.map(() => 1));
}

async function transaction(client) {
    await client.watch("{t}balance");
    const replies = await client.multi().set("{t}balance", "10").incrBy("{t}balance", 5).exec();
    assert.deepEqual(replies, ["OK", 15]);
}

async function scripts(client, names) {
    const text = "return {KEYS[1], ARGV[1]}";
    const sha = await client.scriptLoad(text);
    for (const name of names.slice(0, 20)) {
        const call = { keys: [name], arguments: ["argument"] };
        assert.deepEqual(await client.eval(text, call), [name, "argument"]);
        assert.deepEqual(await client.evalSha(sha, call), [name, "argument"]);
    }
}

async function channels(client) {
    const subscriber = await open();
    const heard = [];
    const hear = (message, channel) => heard.push(`${channel}: ${message}`);
    await subscriber.subscribe("channel", hear);
    await subscriber.pSubscribe("pattern.*", hear);
    assert.equal(await client.publish("channel", "text"), 1);
    assert.equal(await client.publish("pattern.x", "more"), 1);
    while (heard.length < 2) {
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.deepEqual(heard.sort(), ["channel: text", "pattern.x: more"]);
    await subscriber.unsubscribe("channel");
    await subscriber.pUnsubscribe("pattern.*");
    assert.equal(await subscriber.ping(), "PONG");
    await subscriber.disconnect();
}

async function errors(client) {
    await assert.rejects(client.sendCommand(["NOSUCH", "x"]), /unknown command/);
    await assert.rejects(client.incr("hash"), /WRONGTYPE/);
    assert.equal(await client.ping(), "PONG");
}

async function main() {
    const names = Array.from({ length: 200 }, (_, number) => `key:${number * 7919}`);
    const client = await open();
    await commands(client, names);
    await pipeline(client, names);
    await transaction(client);
    await scripts(client, names);
    await channels(client);
    await errors(client);
    await client.disconnect();
}

setTimeout(() => {
    throw new Error("it hangs");
}, 60000).unref();
main().catch((error) => {
    console.error(error);
    process.exit(1);
});
