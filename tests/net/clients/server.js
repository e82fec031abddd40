// SPDX-License-Identifier: MIT
// server.js PORT: an HTTP server that never comes to an answer.
"use strict";
require("http")
	.createServer(() => {})
	.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
