// SPDX-License-Identifier: MIT
// node:http, https, http2, tls and fetch() (undici): clients and servers of one process.
import assert from "node:assert";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { done, listen, read, test } from "./harness.mjs";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "node-"));
execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
	"-keyout", `${directory}/key`, "-out", `${directory}/cert`, "-subj", "/CN=localhost",
	"-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], { stdio: "ignore" });
const identity = { key: fs.readFileSync(`${directory}/key`), cert: fs.readFileSync(`${directory}/cert`) };
const trust = { ca: identity.cert, host: "127.0.0.1", servername: "localhost" };

const answer = async (request, response) => {
	const body = await read(request);
	response.setHeader("x-port", String(request.socket.remotePort));
	response.end(`${request.method} ${request.url} ${body}`);
};

function request(module, options, body) {
	return new Promise((resolve, reject) => {
		const sent = module.request(options, async (response) =>
			resolve({ text: await read(response), port: response.headers["x-port"] }));
		sent.on("error", reject).end(body);
	});
}

test("http-get-and-post", async () => {
	const server = http.createServer(answer);
	const port = await listen(server);
	assert.equal((await request(http, { port, host: "127.0.0.1", path: "/a" })).text, "GET /a ");
	const posted = await request(http, { port, host: "127.0.0.1", path: "/b", method: "POST" }, "body");
	assert.equal(posted.text, "POST /b body");
	server.close();
	server.closeAllConnections();
});

test("http-agent-keeps-its-connection", async () => {
	const server = http.createServer(answer);
	const port = await listen(server);
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	const ports = new Set();
	for (let i = 0; i < 5; i++)
		ports.add((await request(http, { port, host: "127.0.0.1", agent, path: `/${i}` })).port);
	assert.equal(ports.size, 1);
	agent.destroy();
	server.close();
});

test("http-upgrade", async () => {
	const server = http.createServer();
	server.on("upgrade", (_, socket) => {
		socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
		socket.pipe(socket);
	});
	const sent = http.get({ port: await listen(server), host: "127.0.0.1",
		headers: { Connection: "Upgrade", Upgrade: "echo" } });
	const [, socket] = await once(sent, "upgrade");
	socket.end("frames");
	assert.equal(await read(socket), "frames");
	server.close();
});

test("http-abort", async () => {
	const server = http.createServer(() => {});
	const sent = http.get({ port: await listen(server), host: "127.0.0.1" });
	await once(server, "request");
	sent.destroy(new Error("enough"));
	const [error] = await once(sent, "error");
	assert.equal(error.message, "enough");
	server.close();
	server.closeAllConnections();
});

test("fetch", async () => {
	const server = http.createServer(answer);
	const url = `http://127.0.0.1:${await listen(server)}/`;
	const texts = await Promise.all(Array.from({ length: 20 }, async (_, i) =>
		(await fetch(url + i, { method: "POST", body: String(i) })).text()));
	texts.forEach((text, i) => assert.equal(text, `POST /${i} ${i}`));
	server.close();
	server.closeAllConnections();
});

test("fetch-aborted", async () => {
	const server = http.createServer(() => {});
	const url = `http://127.0.0.1:${await listen(server)}/`;
	const controller = new AbortController();
	server.once("request", () => controller.abort());
	await assert.rejects(fetch(url, { signal: controller.signal }), { name: "AbortError" });
	server.close();
	server.closeAllConnections();
});

test("fetch-refused", async () => {
	const server = http.createServer(answer);
	const port = await listen(server);
	server.close();
	await once(server, "close");
	await assert.rejects(fetch(`http://127.0.0.1:${port}/`), (e) => e.cause.code === "ECONNREFUSED");
});

test("tls", async () => {
	const server = tls.createServer(identity, (socket) => socket.pipe(socket));
	const socket = tls.connect({ ...trust, port: await listen(server) });
	await once(socket, "secureConnect");
	assert(socket.authorized);
	socket.end("secret");
	assert.equal(await read(socket), "secret");
	server.close();
});

test("https", async () => {
	const server = https.createServer(identity, answer);
	const port = await listen(server);
	const got = await request(https, { ...trust, port, path: "/s", agent: false });
	assert.equal(got.text, "GET /s ");
	server.close();
});

test("http2-many-streams", async () => {
	const server = http2.createSecureServer(identity, (request, response) => response.end(request.url));
	const session = http2.connect(`https://localhost:${await listen(server)}`, { ca: identity.cert,
		lookup: (_host, _options, found) => found(null, [{ address: "127.0.0.1", family: 4 }], 4) });
	const texts = await Promise.all(Array.from({ length: 50 }, (_, i) => read(session.request({ ":path": `/${i}` }))));
	texts.forEach((text, i) => assert.equal(text, `/${i}`));
	session.close();
	server.close();
});

test("http2-goaway-and-ping", async () => {
	const server = http2.createServer((request, response) => response.end("plain"));
	const session = http2.connect(`http://127.0.0.1:${await listen(server)}`);
	await once(session, "connect");
	await new Promise((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
	assert.equal(await read(session.request()), "plain");
	const closed = once(session, "close");
	session.goaway();
	session.close();
	await closed;
	server.close();
});

done();
