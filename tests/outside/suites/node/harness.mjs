// SPDX-License-Identifier: MIT
// test(NAME, FUNCTION): one after the other, those named on the command line or all; "passed NAME" for each.
import { once } from "node:events";

const wanted = process.argv.slice(2);
const TIMEOUT_MS = 20000;
let chain = Promise.resolve();

async function run(name, body) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error("timeout")), TIMEOUT_MS);
	});
	try {
		await Promise.race([body(), late]);
		console.log("passed", name);
	} catch (error) {
		console.error(name, error);
		console.log("failed", name);
	}
	clearTimeout(timer);
}

export function test(name, body) {
	if (wanted.length === 0 || wanted.includes(name))
		chain = chain.then(() => run(name, body));
}

export function done() {
	chain.then(() => process.exit(0));
}

// Listens on a port of the kernel's choice, which it returns.
export async function listen(server, host = "127.0.0.1") {
	server.listen(0, host);
	await once(server, "listening");
	return server.address().port;
}

// Not `for await`, which would destroy a socket that is to be answered yet.
export async function read(stream) {
	let text = "";
	stream.setEncoding("utf8").on("data", (chunk) => {
		text += chunk;
	});
	await once(stream, "end");
	return text;
}
