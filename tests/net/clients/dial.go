// SPDX-License-Identifier: MIT

// dial ADDRESS: connects as any Go program does, which turns keepalive on after 15 s; holds it.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	connection, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	connection.Read(make([]byte, 1))
}
