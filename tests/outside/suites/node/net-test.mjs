// SPDX-License-Identifier: MIT
// node:net, as programs use it: every way to connect, to end, to fail.
import assert from "node:assert";
import { fork } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { done, listen, read, test } from "./harness.mjs";

if (process.argv[2] === "child") {
	process.once("message", (message, handle) => handle.end(`child got ${message}`, () => process.exit(0)));
	process.send("ready");
} else {
	const echo = (options) => net.createServer(options, (socket) => socket.on("error", () => {}).pipe(socket));

	for (const host of ["127.0.0.1", "::1", "localhost"])
		test(`echo-${host}`, async () => {
			const server = echo();
			const socket = net.connect(await listen(server, host), host);
			socket.end("hello");
			assert.equal(await read(socket), "hello");
			server.close();
			await once(server, "close");
		});

	test("refused", async () => {
		const server = echo();
		const port = await listen(server);
		server.close();
		await once(server, "close");
		const [error] = await once(net.connect(port, "127.0.0.1"), "error").catch((e) => [e]);
		assert.equal(error.code, "ECONNREFUSED");
	});

	test("half-open", async () => {
		const server = net.createServer({ allowHalfOpen: true }, async (socket) => {
			const text = await read(socket);
			socket.end(text.toUpperCase());
		});
		const socket = net.connect({ port: await listen(server), host: "127.0.0.1", allowHalfOpen: true });
		socket.end("half");
		assert.equal(await read(socket), "HALF");
		server.close();
	});

	test("reset", async () => {
		const server = net.createServer((socket) => socket.resetAndDestroy());
		const socket = net.connect(await listen(server), "127.0.0.1");
		const [error] = await once(socket, "error");
		assert.equal(error.code, "ECONNRESET");
		server.close();
	});

	test("timeout", async () => {
		const server = net.createServer(() => {});
		const socket = net.connect(await listen(server), "127.0.0.1");
		socket.setTimeout(50);
		await once(socket, "timeout");
		socket.destroy();
		server.close();
	});

	test("keepalive-and-nodelay", async () => {
		const server = echo({ keepAlive: true, keepAliveInitialDelay: 5000, noDelay: true });
		const socket = net.connect({ port: await listen(server), host: "127.0.0.1", keepAlive: true });
		await once(socket, "connect");
		socket.setKeepAlive(true, 1000).setKeepAlive(false).setNoDelay(true);
		socket.end("on");
		assert.equal(await read(socket), "on");
		server.close();
	});

	test("local-address-and-port", async () => {
		const server = net.createServer((socket) => socket.end(`${socket.remoteAddress}`));
		const socket = net.connect({ port: await listen(server), host: "127.0.0.1", localAddress: "127.0.0.9" });
		assert.equal(await read(socket), "127.0.0.9");
		server.close();
	});

	test("port-in-use", async () => {
		const server = echo();
		const second = echo();
		second.listen(await listen(server), "127.0.0.1");
		const [error] = await once(second, "error");
		assert.equal(error.code, "EADDRINUSE");
		server.close();
	});

	test("hundred-at-once", async () => {
		const server = echo();
		const port = await listen(server);
		const texts = await Promise.all(
			Array.from({ length: 100 }, (_, i) => {
				const socket = net.connect(port, "127.0.0.1");
				socket.end(`number ${i}`);
				return read(socket);
			}),
		);
		texts.forEach((text, i) => assert.equal(text, `number ${i}`));
		server.close();
	});

	test("megabytes", async () => {
		const server = echo();
		const socket = net.connect(await listen(server), "127.0.0.1");
		const sent = "x".repeat(8 << 20);
		socket.end(sent);
		assert.equal((await read(socket)).length, sent.length);
		server.close();
	});

	test("unix-socket", async () => {
		const path = `/run/tmp/node-${process.pid}`;
		const server = echo();
		server.listen(path);
		await once(server, "listening");
		const socket = net.connect(path);
		socket.end("unix");
		assert.equal(await read(socket), "unix");
		server.close();
	});

	test("socket-sent-to-a-child", async () => {
		const child = fork(fileURLToPath(import.meta.url), ["child"]);
		await once(child, "message");
		const server = net.createServer({ pauseOnConnect: true }, (socket) => child.send("it", socket));
		const socket = net.connect(await listen(server), "127.0.0.1");
		assert.equal(await read(socket), "child got it");
		await once(child, "exit");
		server.close();
	});

	done();
}
