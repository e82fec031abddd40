// SPDX-License-Identifier: MIT

// web server PORT, web client PORT: net/http on both sides, with its own keepalive.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "answer to", r.URL.Path)
	}))
}

func visit(address string) error {
	response, err := http.Get("http://" + address + "/go")
	if err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func main() {
	address := "127.0.0.1:" + os.Args[2]
	act := visit
	if os.Args[1] == "server" {
		act = serve
	}
	if err := act(address); err != nil {
		log.Fatal(err)
	}
}
