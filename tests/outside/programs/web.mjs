// SPDX-License-Identifier: MIT
// web.mjs server PORT: node:http; web.mjs client PORT: the same, with keepalive of its own. (What fetch() sets depends on
// node's version: nothing in 18, 60 s since 20.)
import http from "node:http";
import net from "node:net";

const [role, port] = process.argv.slice(2);
if (role === "server") {
	http.createServer((request, response) => response.end(`answer to ${request.url}\n`))
		.listen(Number(port), "127.0.0.1", () => console.log("ready"));
} else {
	const address = { host: "127.0.0.1", port: Number(port) };
	const createConnection = () => net.connect({ ...address, keepAlive: true, keepAliveInitialDelay: 60000 });
	http.get({ ...address, path: "/node", createConnection }, (response) => response.pipe(process.stdout));
}
