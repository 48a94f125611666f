// Command build builds the MongoDB-compatible test server ahead of the tests that need
// it, which otherwise wait for whoever of them builds it. It prints the binary's path.
//
//	go run ./test/mongod/build
package main

import (
	"fmt"
	"os"

	"github.com/parleyhq/parley/test/mongod"
)

func main() {
	binary, err := mongod.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the test server:", err)
		os.Exit(1)
	}
	fmt.Println(binary)
}
