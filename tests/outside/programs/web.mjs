// SPDX-License-Identifier: MIT
// web.mjs server PORT: node:http; web.mjs client PORT: fetch(), which is undici.
import http from "node:http";

const [role, port] = process.argv.slice(2);
if (role === "server") {
	http.createServer((request, response) => response.end(`answer to ${request.url}\n`))
		.listen(Number(port), "127.0.0.1", () => console.log("ready"));
} else {
	const response = await fetch(`http://127.0.0.1:${port}/node`);
	process.stdout.write(await response.text());
}
