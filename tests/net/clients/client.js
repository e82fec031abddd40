// SPDX-License-Identifier: MIT
// client.js KIND PORT: "plain" connects; "late" asks for keepalive after 33 s once it is connected.
"use strict";
const net = require("net");
const [kind, port] = process.argv.slice(2);

const socket = net.connect(Number(port), "127.0.0.1", () => {
	if (kind === "late")
		socket.setKeepAlive(true, 33000);
	console.log("ready");
});
